"""A demonstration's world as a dataset."""

from datetime import UTC, datetime, timedelta

import numpy as np

from dev.world import World
from evaluation.dataset import Actions, Dataset

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def of_world(world: World, name: str, about: str) -> Dataset:
    """Return the world as arrays; users keep their order, posts are put in order of id."""
    ids = np.frombuffer(b"".join(post.id.bytes for post in world.posts), "V16")
    order = ids.argsort()
    posts = {world.posts[place].id: number for number, place in enumerate(order.tolist())}
    users = {user: number for number, user in enumerate(world.users)}
    types = tuple(sorted({action.type for action in world.actions}))
    kinds = {kind: place for place, kind in enumerate(types)}
    actions = Actions(
        np.array([users[action.user] for action in world.actions], np.intp),
        np.array([posts[action.post] for action in world.actions], np.intp),
        np.array([kinds[action.type] for action in world.actions], np.intp),
        np.array([_since(action.at) for action in world.actions], np.int64),
    )
    created = np.array([_since(post.created_at) for post in world.posts], np.int64)
    return Dataset(
        name, about, ids[order], world.vectors[order], created[order], len(users), types, actions
    )


def _since(time: datetime) -> int:
    return (time - EPOCH) // MICROSECOND
