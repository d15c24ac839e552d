"""Whether computed vectors point where their users' tastes are known to lie."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from dev.world import World


@dataclass(frozen=True)
class Verdict:
    """Of `users` judged, the share whose strongest taste is among the top topics (0 to 1).

    `chance` is the same share if the vectors were dealt out among these users at random.
    """

    users: int
    right: float
    chance: float


def nearest(world: World, vectors: NDArray[np.float32], count: int) -> NDArray[np.intp]:
    """Find the `count` posts nearest by cosine to each row of `vectors` (users, 384).

    Returns their numbers, nearest first: (users, count). Posts without an embedding are left out.
    """
    posts = np.flatnonzero(world.embedded)
    similarity = vectors @ world.vectors[posts].T
    return posts[np.argsort(-similarity, axis=1, kind="stable")[:, :count]]


def top_topics(
    world: World, vectors: Mapping[UUID, NDArray[np.float32]], *, topics: int = 2, posts: int = 10
) -> dict[UUID, tuple[str, ...]]:
    """Name the at most `topics` most frequent topics of the `posts` posts nearest to each vector.

    Of two equally frequent topics the one with the nearer post comes first. Posts without a topic
    count for none.
    """
    if not vectors:
        return {}
    rows = nearest(world, np.stack(list(vectors.values())), posts)
    return {
        user: _most_frequent([world.posts[post].topic for post in row])[:topics]
        for user, row in zip(vectors, rows.tolist(), strict=True)
    }


def judge(
    world: World, vectors: Mapping[UUID, NDArray[np.float32]], *, topics: int = 2, posts: int = 10
) -> Verdict:
    """Compare every vector's top topics with the strongest taste of its user.

    Raises ValueError unless there is a vector, and a known taste for each user with one.
    """
    unknown = len(vectors.keys() - world.tastes.keys())
    if not vectors or unknown:
        raise ValueError(
            f"expected vectors of users with known tastes, got {len(vectors)}, {unknown} without"
        )
    found = top_topics(world, vectors, topics=topics, posts=posts)
    names = sorted({name for some in (*found.values(), *world.tastes.values()) for name in some})
    points_to = np.array([[name in found[user] for name in names] for user in vectors])
    likes_most = np.array([[name == world.tastes[user][0] for name in names] for user in vectors])
    return Verdict(
        users=len(vectors),
        right=float((points_to & likes_most).any(axis=1).mean()),
        chance=float(points_to.mean(axis=0) @ likes_most.mean(axis=0)),
    )


def _most_frequent(topics: list[str | None]) -> tuple[str, ...]:
    """Distinct topics, the most frequent first; equally frequent ones in order of appearance."""
    known = [topic for topic in topics if topic is not None]
    return tuple(sorted(dict.fromkeys(known), key=known.count, reverse=True))
