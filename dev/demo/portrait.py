"""What one user's vector is good for."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from dev.judge import nearest, top_topics
from dev.world import Post, World
from lib.embedding import calculate_similarity

POSTS = 5
NEIGHBOURS = 3
TASTES = 2
SEEN_SHARE = 1 / 8

type Vectors = Mapping[UUID, NDArray[np.float32]]


@dataclass(frozen=True)
class Suggestion:
    """A post and its cosine to the vector."""

    post: Post
    similarity: float


@dataclass(frozen=True)
class Neighbour:
    """Another user, the cosine of both vectors, and how many posts both acted on."""

    user: UUID
    similarity: float
    common: int


@dataclass(frozen=True)
class Portrait:
    """One user: `actions` on `seen` posts, what the vector points to, and who is alike.

    `nearest` are the posts nearest to the vector, `unseen` those of them that are new to the user,
    both nearest first; `topics` are the vector's, the most frequent first.
    """

    user: UUID
    actions: int
    seen: int
    topics: tuple[str, ...]
    nearest: tuple[Suggestion, ...]
    unseen: tuple[Suggestion, ...]
    neighbours: tuple[Neighbour, ...]


def portray(world: World, vectors: Vectors) -> Portrait:
    """Portray the busiest user with a vector who is a good example.

    Good: likes several topics, as far as that is known, and has left most posts unseen.
    """
    actions = dict.fromkeys(world.users, 0)
    seen: dict[UUID, set[UUID]] = {user: set() for user in world.users}
    for action in world.actions:
        actions[action.user] += 1
        seen[action.user].add(action.post)

    def merit(user: UUID) -> tuple[bool, int, UUID]:
        several = not world.tastes or len(world.tastes[user]) >= TASTES
        return several and len(seen[user]) <= SEEN_SHARE * len(world.posts), actions[user], user

    user = max(vectors, key=merit)
    ranked = _ranked(world, vectors[user])
    known = seen[user] | {post.id for post in world.posts if post.author == user}
    return Portrait(
        user,
        actions[user],
        len(seen[user]),
        top_topics(world, {user: vectors[user]}).get(user, ()),
        ranked[:POSTS],
        tuple(found for found in ranked if found.post.id not in known)[:POSTS],
        _neighbours(user, vectors, seen),
    )


def _ranked(world: World, vector: NDArray[np.float32]) -> tuple[Suggestion, ...]:
    [numbers] = nearest(world, vector[np.newaxis], len(world.posts))
    return tuple(
        Suggestion(world.posts[number], calculate_similarity(vector, world.vectors[number]))
        for number in numbers.tolist()
    )


def _neighbours(
    user: UUID, vectors: Vectors, seen: Mapping[UUID, set[UUID]]
) -> tuple[Neighbour, ...]:
    others = [other for other in vectors if other != user]
    similarity = {other: calculate_similarity(vectors[user], vectors[other]) for other in others}
    closest = sorted(others, key=lambda other: (-similarity[other], other))[:NEIGHBOURS]
    return tuple(
        Neighbour(other, similarity[other], len(seen[user] & seen[other])) for other in closest
    )
