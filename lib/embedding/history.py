"""What a slice of users did, as arrays: contributions summed per user and post."""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

CONTRIBUTION = np.dtype([("post", "V16"), ("weight", ">f8"), ("acted_at", ">i8")])
"""What one user did with one post, or a part of it: the post's id, the weight, and when it was
last done, in microseconds since 2000 (Postgres's)."""


@dataclass(frozen=True)
class Histories:
    """The contributions of n users, laid end to end; one for each post of a user, in their order.

    `distinct_posts`: (p,) of V16, the posts that occur, each once, in order of id. `places`: (c,)
    where each contribution's post stands among them, `weights`: (c,) float64, `acted_at`: (c,)
    int64; those of user i are `offsets[i]:offsets[i + 1]`, with `offsets`: (n + 1,).
    """

    offsets: NDArray[np.int64]
    distinct_posts: NDArray[np.void]
    places: NDArray[np.intp]
    weights: NDArray[np.float64]
    acted_at: NDArray[np.int64]

    @classmethod
    def unpack(cls, packed: list[bytes]) -> Self:
        """Read one run of CONTRIBUTION records a user; sum those of a post, and drop what is 0."""
        parts = np.frombuffer(b"".join(packed), dtype=CONTRIBUTION)
        lengths = np.fromiter(map(len, packed), dtype=np.int64, count=len(packed))
        users = np.repeat(np.arange(len(packed)), lengths // CONTRIBUTION.itemsize)
        posts, places = _distinct(np.ascontiguousarray(parts["post"]))
        pairs = users * len(posts) + places
        order = pairs.argsort()
        starts = np.flatnonzero(_new(pairs[order]))
        weights = np.add.reduceat(parts["weight"].astype(np.float64)[order], starts)
        acted_at = np.maximum.reduceat(parts["acted_at"].astype(np.int64)[order], starts)
        first, kept = order[starts], weights != 0
        return cls(
            np.searchsorted(users[first[kept]], np.arange(len(packed) + 1)),
            posts,
            places[first[kept]],
            weights[kept],
            acted_at[kept],
        )

    @cached_property
    def posts(self) -> NDArray[np.void]:
        """Each contribution's post: (c,) of V16."""
        return self.distinct_posts[self.places]

    @cached_property
    def owners(self) -> NDArray[np.intp]:
        """Whose each contribution is: (c,)."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))

    def count_by_user(self, chosen: NDArray[np.bool_]) -> NDArray[np.int64]:
        """How many of each user's contributions are chosen: (c,) -> (n,)."""
        users = len(self.offsets) - 1
        return np.bincount(self.owners[chosen], minlength=users).astype(np.int64)


def _distinct(posts: NDArray[np.void]) -> tuple[NDArray[np.void], NDArray[np.intp]]:
    """Return the posts each once, in order, and where each stands: (c,) -> (p,), (c,)."""
    halves = posts.view(">u8").reshape(-1, 2).astype(np.uint64)
    order = halves[:, 0].argsort()
    new = _new(halves[order, 0])
    first = order[new]
    places = np.empty(len(order), dtype=np.intp)
    places[order] = np.cumsum(new) - 1
    if (halves[first, 1][places] != halves[:, 1]).any():
        # Ids that share their first half. Comparing all 16 bytes takes five times as long.
        distinct, places = np.unique(posts, return_inverse=True)
        return distinct, places
    return posts[first], places


def _new(ordered: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Which of the ordered numbers differ from the one before: (c,) -> (c,)."""
    new = np.ones(len(ordered), dtype=np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=new[1:])
    return new
