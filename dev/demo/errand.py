"""What a user might come for who looks for something new."""

from collections import Counter
from dataclasses import dataclass
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from dev.world import Post, World

HANDFUL = 5
LEAST_UNSEEN = 2 * HANDFUL

type Numbers = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Errand:
    """Posts new to a user, who has this vector, (384,): of a topic, where posts have topics."""

    user: UUID
    vector: NDArray[np.float32]
    topic: str | None
    posts: tuple[Post, ...]


def known_to(world: World, user: UUID) -> set[UUID]:
    """Return the posts that a user acted on or wrote."""
    acted_on = {action.post for action in world.actions if action.user == user}
    return acted_on | {post.id for post in world.posts if post.author == user}


def choose(world: World, user: UUID, vector: NDArray[np.float32]) -> Errand | None:
    """Choose a handful of posts new to a user with this vector, (384,).

    Of the topic that the user did least with, and of several the one nearest to the vector. Where
    posts have no topics, the unseen post farthest from the vector and those nearest to it. None if
    hardly any are unseen.
    """
    known = known_to(world, user)
    new = np.array([post.id not in known for post in world.posts]) & world.embedded
    unseen = np.flatnonzero(new)
    if len(unseen) < LEAST_UNSEEN:
        return None
    topic, members = _topic(world, known, unseen, vector)
    centre = world.vectors[members].sum(axis=0)
    if topic is None:
        centre = world.vectors[unseen[(world.vectors[unseen] @ vector).argmin()]]
    typical = np.argsort(-(world.vectors[members] @ centre), kind="stable")[:HANDFUL]
    return Errand(
        user, vector, topic, tuple(world.posts[number] for number in members[typical].tolist())
    )


def _topic(
    world: World, known: set[UUID], unseen: Numbers, vector: NDArray[np.float32]
) -> tuple[str | None, Numbers]:
    """Return a topic, and the unseen posts of it; None, and all, where none has enough of them."""
    numbers: dict[str, list[int]] = {}
    for number in unseen.tolist():
        topic = world.posts[number].topic
        if topic is not None:
            numbers.setdefault(topic, []).append(number)
    familiar = Counter(post.topic for post in world.posts if post.id in known)
    members = {topic: np.array(some) for topic, some in numbers.items() if len(some) >= HANDFUL}
    if not members:
        return None, unseen
    chosen = min(
        members,
        key=lambda topic: (
            familiar[topic],
            -float((world.vectors[members[topic]] @ vector).mean()),
            topic,
        ),
    )
    return chosen, members[chosen]
