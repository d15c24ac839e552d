"""A made-up platform of any size, drawn a piece at a time and the same every time."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.tuples import VECTOR

SEED = 20_000
DAY = 86_400_000_000  # microseconds
DAYS = 80
MODEL = b"all-MiniLM-L6-v2"

SHARES = {
    b"view_post": 0.70,
    b"like_post": 0.14,
    b"comment_post": 0.05,
    b"bookmark_post": 0.05,
    b"share_post": 0.03,
    b"hide_post": 0.016,
    b"dislike_post": 0.0102,
    b"unlike_post": 0.0028,
    b"unbookmark_post": 0.001,
}
"""Of a hundred likes and bookmarks two are taken back, as in the demo's world."""

FLATNESS = 50
"""The post of rank r is acted on in proportion to 1 / (r + FLATNESS): the most popular one 20 times
as often as the 1,000th, so that a page meets most posts many times and many posts once."""


@dataclass(frozen=True)
class Actions:
    """Part of the log, oldest first: (n,) each; times in microseconds since 2000."""

    users: NDArray[np.void]
    posts: NDArray[np.void]
    times: NDArray[np.int64]
    types: NDArray[np.bytes_]


@dataclass(frozen=True)
class World:
    """`users` who did `actions` things each in the DAYS before `now` (microseconds since 2000).

    The log comes in `actions` rounds, in order of time: in each, every user does one thing.
    """

    users: int
    actions: int
    posts: int
    now: int

    def user_ids(self) -> NDArray[np.void]:
        """Return the users, (users,) of V16."""
        return np.frombuffer(_draw(1).bytes(16 * self.users), dtype="V16")

    def post_ids(self) -> NDArray[np.void]:
        """Return the posts, (posts,) of V16, the most popular first."""
        return np.frombuffer(_draw(2).bytes(16 * self.posts), dtype="V16")

    def post_vectors(self) -> NDArray[np.void]:
        """Return random directions, (posts,) of VECTOR."""
        numbers = _draw(3).standard_normal((self.posts, 384), dtype=np.float32)
        numbers /= np.linalg.norm(numbers, axis=1, keepdims=True)
        vectors = np.zeros(self.posts, dtype=VECTOR)
        vectors["dimensions"] = 384
        vectors["numbers"] = numbers
        return vectors

    def round(self, number: int) -> Actions:
        """Return one round of the log, from 0 (the oldest) to `actions` - 1."""
        draw = _draw(4, number)
        span = DAYS * DAY // self.actions
        begin = self.now - (self.actions - number) * span
        reach = (1 / (np.arange(self.posts) + FLATNESS)).cumsum()
        ranks = np.searchsorted(reach, draw.random(self.users) * reach[-1], side="right")
        kinds = np.searchsorted(np.cumsum(list(SHARES.values())), draw.random(self.users))
        return Actions(
            draw.permutation(self.user_ids()),
            self.post_ids()[ranks],
            np.sort(draw.integers(begin, begin + span, self.users)),
            np.array(list(SHARES))[kinds.clip(max=len(SHARES) - 1)],
        )


def _draw(*purpose: int) -> np.random.Generator:
    return np.random.default_rng([SEED, *purpose])
