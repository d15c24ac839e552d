"""Made-up histories, as the database packs them and as plain Python knows them."""

import math
import struct
from collections.abc import Mapping, Sequence

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from lib.embedding import Histories, PostVectors, Scheme
from lib.embedding.aggregate import lengths

type Contributions = Mapping[bytes, float]
"""One user's posts, by their 16 bytes, and the weight of each."""

# V16 must not lose trailing zeros, nor sort as text or as a number of the other end
POSTS = (
    bytes(16),
    bytes(15) + b"\x01",
    b"\x01" + bytes(15),
    b"\xff" * 16,
    b"\x80" + bytes(14) + b"\x7f",
    b"0123456789abcdef",
)


# One action that draws near and one that pushes away, each of weight 1: amounts are the weights.
# The share is more than any history here comes to.
SIGNED = Scheme("signed", 1, {"like_post": 1.0}, negatives={"hide_post": 1.0}, negative_share=1e9)


def record(post: bytes, weight: float, acted_at: int = 0) -> bytes:
    place = int(math.copysign(1, weight) < 0)
    return post + struct.pack(">hdq", place, abs(weight), acted_at)


def unpack(histories: Sequence[Contributions]) -> Histories:
    packed = [b"".join(record(p, w) for p, w in history.items()) for history in histories]
    return Histories.unpack(packed, SIGNED, 0)


def of_rows(
    embeddings: NDArray[np.float32], sizes: NDArray[np.float64] | None = None
) -> PostVectors:
    """Take the rows, (p, d), for the embeddings of p distinct posts, in their order."""
    return PostVectors(
        np.arange(len(embeddings)), embeddings, lengths(embeddings) if sizes is None else sizes
    )


# whole numbers, so that what cancels out does so exactly, in whatever order it is summed
weights = st.integers(-10, 20).map(float)
histories = st.lists(st.dictionaries(st.sampled_from(POSTS), weights), max_size=5)
