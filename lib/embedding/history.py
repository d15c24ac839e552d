"""What a slice of users did, as arrays: weighted, and summed per user and post."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from lib.embedding.schemes import VIEW, Scheme

RECORD = np.dtype([("post", "V16"), ("place", ">i2"), ("amount", ">f8"), ("acted_at", ">i8")])
"""One action of a user, or several of one type on one post: the post's id, the type's place in
`scheme.actions`, as how many actions at `acted_at` it counts, and that time, in microseconds since
2000 (Postgres's)."""

DAY = 86_400_000_000
"""In microseconds."""

OLDEST = 400.0
"""Half-lives after which an action loses nothing more: its weight must not vanish altogether."""


def decay(ages: NDArray[np.float64], half_life: float) -> NDArray[np.float64]:
    """Return what is left of weight 1: (n,) ages in microseconds, half-life in days -> (n,).

    1 for what is yet to come, 0.5 at the half-life.
    """
    return np.exp2(-np.clip(ages / (half_life * DAY), 0.0, OLDEST))


@dataclass(frozen=True)
class Histories:
    """The contributions of n users, laid end to end, in order of user and post.

    A post of a user makes one contribution, or two: what draws near, and what pushes away. Those of
    user i are `offsets[i]:offsets[i + 1]`, with `offsets`: (n + 1,). `distinct_posts`: (p,) of V16,
    the posts that occur, each once, in order of id; `places`: (c,) where each contribution's post
    stands among them; `weights`: (c,) float64, below 0 for what pushes away; `acted_at`: (c,)
    int64, the latest of its actions.
    """

    offsets: NDArray[np.int64]
    distinct_posts: NDArray[np.void]
    places: NDArray[np.intp]
    weights: NDArray[np.float64]
    acted_at: NDArray[np.int64]

    @classmethod
    def unpack(cls, packed: list[bytes], scheme: Scheme, read_at: int) -> Self:
        """Read one run of RECORDs a user, and weigh them by the scheme as of `read_at`.

        `read_at` in microseconds since 2000. What is taken back is not among the records. What
        weighs 0 in all is dropped.
        """
        records = np.frombuffer(b"".join(packed), dtype=RECORD)
        lengths = np.fromiter(map(len, packed), dtype=np.int64, count=len(packed))
        users = np.repeat(np.arange(len(packed)), lengths // RECORD.itemsize)
        posts, places = _distinct(np.ascontiguousarray(records["post"]))
        kinds = records["place"].astype(np.intp)
        acted_at = records["acted_at"].astype(np.int64)
        weights = _weights(scheme)[kinds] * records["amount"]
        if scheme.half_life != math.inf:
            weights *= decay(read_at - acted_at.astype(np.float64), scheme.half_life)
        pairs = users * len(posts) + places
        if scheme.daily_views:
            views = np.flatnonzero(kinds == scheme.actions.index(VIEW))
            weights[views[_repeated(pairs[views], acted_at[views], read_at)]] = 0.0
        sides = pairs * 2 + (kinds >= len(scheme.weights)) if scheme.negatives else pairs
        order = sides.argsort()
        starts = np.flatnonzero(_new(sides[order]))
        summed = np.add.reduceat(weights[order], starts) if len(order) else weights
        latest = np.maximum.reduceat(acted_at[order], starts) if len(order) else acted_at
        if scheme.saturated:
            summed = np.copysign(np.log1p(np.abs(summed)) / math.log(2), summed)
        first, kept = order[starts], summed != 0
        return cls(
            np.searchsorted(users[first[kept]], np.arange(len(packed) + 1)),
            posts,
            places[first[kept]],
            summed[kept],
            latest[kept],
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


def _weights(scheme: Scheme) -> NDArray[np.float64]:
    """Return what an action of each of `scheme.actions` weighs, signed."""
    return np.array([*scheme.weights.values(), *(-w for w in scheme.negatives.values())])


def _repeated(
    pairs: NDArray[np.intp], acted_at: NDArray[np.int64], read_at: int
) -> NDArray[np.bool_]:
    """Which views are not the last of their user, post and day (UTC): (v,) each -> (v,)."""
    at = np.minimum(acted_at, read_at)
    days = at // DAY
    order = np.lexsort((at, days, pairs))
    repeated = np.zeros(len(order), dtype=np.bool_)
    same = ~(_new(pairs[order]) | _new(days[order]))
    repeated[order[:-1]] = same[1:]
    return repeated


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
