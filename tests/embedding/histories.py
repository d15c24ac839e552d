"""Made-up histories, as the database packs them and as plain Python knows them."""

import struct
from collections.abc import Mapping, Sequence

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from lib.embedding import Histories, Interests, Sums

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


def pack(history: Contributions, acted_at: int = 0) -> bytes:
    return b"".join(post + struct.pack(">dq", weight, acted_at) for post, weight in history.items())


def unpack(histories: Sequence[Contributions]) -> Histories:
    return Histories.unpack([pack(history) for history in histories])


def in_one_block(
    read: Histories,
    embeddings: NDArray[np.float32],
    sizes: NDArray[np.float64],
    minimum: NDArray[np.int64],
) -> Interests:
    """Sum all the distinct posts at once and normalise."""
    sums = Sums(len(read.offsets) - 1, embeddings.shape[1])
    sums.add(read, 0, np.arange(len(embeddings)), embeddings, sizes)
    return sums.interests(minimum)


# whole numbers, so that what cancels out does so exactly, in whatever order it is summed
weights = st.integers(-10, 20).map(float)
histories = st.lists(st.dictionaries(st.sampled_from(POSTS), weights), max_size=5)
