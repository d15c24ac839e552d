"""What a world consists of."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

NAMESPACE = UUID("5a0f1f4e-6a9e-4c55-9d53-2f6d8f1b7c11")


class Post(NamedTuple):
    id: UUID
    title: str
    topic: str | None
    created_at: datetime
    author: UUID | None


class Action(NamedTuple):
    user: UUID
    post: UUID
    type: str
    at: datetime


@dataclass(frozen=True, eq=False)
class World:
    """Users, posts and what the users did, oldest action first.

    `vectors` is float32 (posts, 384), rows of unit length in the order of `posts`; a zero row says
    that the post has no embedding yet. `tastes` are the topics a made-up user likes, the strongest
    first; it is empty for real users, whose tastes are not known.
    """

    users: tuple[UUID, ...]
    posts: tuple[Post, ...]
    vectors: NDArray[np.float32]
    actions: tuple[Action, ...]
    tastes: Mapping[UUID, tuple[str, ...]]

    @property
    def embedded(self) -> NDArray[np.bool_]:
        """(posts,): which posts have an embedding."""
        present: NDArray[np.bool_] = self.vectors.any(axis=1)
        return present
