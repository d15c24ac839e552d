"""The mathematics of interest vectors: arrays in, arrays out; no I/O, no clock."""

from lib.embedding.aggregate import PostVectors, UserVectors, aggregate
from lib.embedding.history import Histories
from lib.embedding.schemes import BASELINE, RETRACTIONS, SCHEMES, Scheme
from lib.embedding.similarity import calculate_similarity

DIMENSIONS = 384

__all__ = [
    "BASELINE",
    "DIMENSIONS",
    "RETRACTIONS",
    "SCHEMES",
    "Histories",
    "PostVectors",
    "Scheme",
    "UserVectors",
    "aggregate",
    "calculate_similarity",
]
