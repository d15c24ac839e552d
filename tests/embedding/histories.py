"""Made-up histories, as the database packs them and as plain Python knows them."""

import math
import struct
from collections.abc import Mapping, Sequence

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from lib.embedding import Histories, PostVectors, Scheme
from lib.embedding.aggregate import lengths
from lib.embedding.history import DAY

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


DIMENSIONS = 8
READ_AT = 100 * DAY

type Event = tuple[int, int, int]
"""Which post, the place of the action's type, and how many microseconds ago."""

events = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 6), st.integers(-DAY, 90 * DAY)),
    min_size=1,
    max_size=25,
)
seeds = st.integers(0, 10**6)


def packed(happened: Sequence[Event], scheme: Scheme) -> bytes:
    return b"".join(
        POSTS[post] + struct.pack(">hdq", place % len(scheme.actions), 1.0, READ_AT - ago)
        for post, place, ago in happened
    )


def platform(histories: Histories, seed: int) -> tuple[PostVectors, NDArray[np.float64]]:
    """Give every post an embedding, the same one whatever posts there are, and make a mean."""
    random = np.random.default_rng(seed)
    known = dict(zip(sorted(POSTS), random.normal(size=(6, DIMENSIONS)), strict=True))
    rows = [known[post.tobytes()] for post in histories.distinct_posts]
    vectors = np.array(rows, dtype=np.float32).reshape(-1, DIMENSIONS)
    # the first post of all has no embedding that counts
    sizes = lengths(vectors) * [post.tobytes() != POSTS[0] for post in histories.distinct_posts]
    return PostVectors(np.arange(len(rows)), vectors, sizes), random.normal(size=DIMENSIONS) / 4


# whole numbers, so that what cancels out does so exactly, in whatever order it is summed
weights = st.integers(-10, 20).map(float)
histories = st.lists(st.dictionaries(st.sampled_from(POSTS), weights), max_size=5)
