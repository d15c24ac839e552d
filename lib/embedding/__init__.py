"""The mathematics of interest vectors: arrays in, arrays out; no I/O, no clock."""

from lib.embedding.aggregate import Interests, Sums
from lib.embedding.history import Histories
from lib.embedding.schemes import BASELINE, RETRACTIONS, Scheme
from lib.embedding.similarity import calculate_similarity

DIMENSIONS = 384

__all__ = [
    "BASELINE",
    "DIMENSIONS",
    "RETRACTIONS",
    "Histories",
    "Interests",
    "Scheme",
    "Sums",
    "calculate_similarity",
]
