"""What a slice of users did, as arrays: contributions already summed per user and post."""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

CONTRIBUTION = np.dtype([("post", "V16"), ("weight", ">f8"), ("acted_at", ">i8")])
"""One post of one user: id, summed weight, last action in microseconds since 2000 (Postgres's)."""


@dataclass(frozen=True)
class Histories:
    """The contributions of n users, laid end to end.

    `posts`: (c,) of V16, `weights`: (c,) float64, `acted_at`: (c,) int64; those of user i are
    `offsets[i]:offsets[i + 1]`, with `offsets`: (n + 1,).
    """

    offsets: NDArray[np.int64]
    posts: NDArray[np.void]
    weights: NDArray[np.float64]
    acted_at: NDArray[np.int64]

    @classmethod
    def unpack(cls, packed: list[bytes]) -> Self:
        """Read one run of CONTRIBUTION records a user."""
        contributions = np.frombuffer(b"".join(packed), dtype=CONTRIBUTION)
        lengths = np.fromiter(map(len, packed), dtype=np.int64, count=len(packed))
        offsets = np.concatenate(([0], np.cumsum(lengths // CONTRIBUTION.itemsize)))
        return cls(
            offsets,
            np.ascontiguousarray(contributions["post"]),
            contributions["weight"].astype(np.float64),
            contributions["acted_at"].astype(np.int64),
        )

    @cached_property
    def distinct_posts(self) -> NDArray[np.void]:
        """The posts that occur, each once, in order of id: (p,) of V16."""
        return self._distinct[0]

    @cached_property
    def places(self) -> NDArray[np.intp]:
        """Where each contribution's post stands among the distinct posts: (c,)."""
        return self._distinct[1]

    @cached_property
    def _distinct(self) -> tuple[NDArray[np.void], NDArray[np.intp]]:
        distinct, places = np.unique(self.posts, return_inverse=True)
        return distinct, places

    def count_by_user(self, chosen: NDArray[np.bool_]) -> NDArray[np.int64]:
        """How many of each user's contributions are chosen: (c,) -> (n,)."""
        users = np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))
        return np.bincount(users[chosen], minlength=len(self.offsets) - 1).astype(np.int64)
