"""Post vectors kept from one page to the next, in bounded memory."""

from itertools import repeat

import numpy as np
from numpy.typing import NDArray

from lib.embedding.aggregate import lengths

NEVER = np.iinfo(np.int64).min
"""As a version: there is no embedding."""

UNDATED = np.iinfo(np.int64).max
"""As a version: nobody knows of when the embedding is, so it is good for one turn only."""


class WarmVectors:
    """The vectors of up to `capacity` posts; whichever was used longest ago makes room.

    A version is when the post was embedded, in microseconds. Rows stay as they are until the next
    `keep`. `found` and `missed` count what `find` was asked for.
    """

    def __init__(self, capacity: int, dimensions: int) -> None:
        # pages of memory that nothing was written to cost nothing
        self.vectors: NDArray[np.float32] = np.empty((capacity, dimensions), dtype=np.float32)
        self.sizes: NDArray[np.float64] = np.zeros(capacity)
        self.found = 0
        self.missed = 0
        self._versions = np.full(capacity, NEVER)
        self._used = np.zeros(capacity, dtype=np.int64)
        self._turn = 0
        self._posts: list[bytes | None] = [None] * capacity
        self._rows: dict[bytes, int] = {}

    @property
    def capacity(self) -> int:
        """How many posts there is room for."""
        return len(self._posts)

    def find(self, posts: NDArray[np.void], versions: NDArray[np.int64]) -> NDArray[np.intp]:
        """Where the posts' vectors of these versions stand, -1 for one that is not here.

        `posts`: (p,) of V16, `versions`: (p,) -> (p,). What is found here stays until the next
        `find`, however much is kept meanwhile.
        """
        self._turn += 1
        rows = np.fromiter(map(self._rows.get, posts.tolist(), repeat(-1)), np.intp, len(posts))
        rows[(self._versions[rows] != versions) | (versions == UNDATED)] = -1
        self._used[rows[rows >= 0]] = self._turn
        self.found += int(np.count_nonzero(rows >= 0))
        self.missed += int(np.count_nonzero((rows < 0) & (versions != NEVER)))
        return rows

    def keep(
        self, posts: NDArray[np.void], versions: NDArray[np.int64], vectors: NDArray[np.float32]
    ) -> NDArray[np.intp]:
        """Take in vectors, (p, d), and return where they stand: (p,).

        With those found in this turn they must not be more than there is room for.
        """
        rows = np.argpartition(self._used, len(posts) - 1)[: len(posts)]
        if len(posts) and (self._used[rows] == self._turn).any():
            raise ValueError(f"expected posts for {self.capacity} places at most, got more")
        for row, post in zip(rows.tolist(), posts.tolist(), strict=True):
            former = self._posts[row]
            if former is not None and self._rows.get(former) == row:
                del self._rows[former]
            self._posts[row] = post
            self._rows[post] = row
        self.vectors[rows] = vectors
        self.sizes[rows] = lengths(vectors)
        self._versions[rows] = versions
        self._used[rows] = self._turn
        return rows
