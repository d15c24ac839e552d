"""How many of the posts nearest to a user are among the candidates."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bench.recommend.world import MODEL, User, World
from bench.spread import Spread
from lib.recommend.feed import SPARE
from lib.store.candidates import Wanted, read_candidates, settle
from lib.store.database import Database

LIMIT = 20


@dataclass(frozen=True)
class Recall:
    """Of one kind of users: which share of the LIMIT nearest is found, on average and at worst.

    `milliseconds`: what looking for a user's candidates takes, with nothing else going on.
    """

    mean: float
    worst: float
    milliseconds: Spread


async def recalls(database: Database, world: World, *, exactly: bool) -> Mapping[str, Recall]:
    """Look for every user's candidates; return what came of it by kind of users."""
    return {
        kind: await _recall(database, world, users, exactly=exactly)
        for kind, users in world.users.items()
    }


async def _recall(database: Database, world: World, users: list[User], *, exactly: bool) -> Recall:
    shares, times = [], []
    for user in users:
        wanted = Wanted(user.id, MODEL, LIMIT + SPARE, unseen=True, since=None, topics=())
        begun = time.perf_counter()
        async with database.connection() as connection, connection.transaction():
            await settle(connection, len(user.known))
            found = await read_candidates(connection, wanted, user.vector[None], exactly=exactly)
        times.append(1000 * (time.perf_counter() - begun))
        near = world.nearest(user, LIMIT)
        shares.append(len(near & set(found.posts)) / LIMIT)
    return Recall(float(np.mean(shares)), min(shares), Spread.of(times))
