"""The specification's loop and our page, side by side over the same users."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from upstash_redis.asyncio import Redis

from bench import loop
from bench.floor import Floor, tape_floor
from bench.page import Places, cost, sized
from bench.platform import Platform
from bench.spread import Measure, Spread, side_by_side
from dev.stack import REDIS_TOKEN
from lib.batch import Services
from lib.settings import DatabaseSettings

PAGE_SIZES = (100, 500, 2000)
FLOOR_SIZE = 500
WARMING = 2000
"""So many users are worked off before anything counts."""

LOOPED = 1000
"""The users of one measurement of the loop, at most."""

SECONDS = 0.8
"""So long one measurement of anything takes, about, if one page does not take longer."""

FIRST_USERS = """
SELECT id FROM users ORDER BY id LIMIT $1
"""

STORED = """
SELECT embedding FROM user_embeddings WHERE user_id = ANY ($1::UUID[]) ORDER BY user_id
"""


FORGET = """
DELETE FROM user_embeddings WHERE user_id = ANY ($1::UUID[])
"""


@dataclass(frozen=True)
class Standing:
    """Milliseconds a user; `pages` by page size; `floor`: of FLOOR_SIZE, without Redis."""

    round_trip: float
    cached: bool
    loop: Spread
    floor: Spread | None
    pages: Mapping[int, Spread]


async def contest(
    platform: Platform, places: Places, services: Services, *, cached: bool, rounds: int
) -> Standing:
    """Let the loop and pages of every size take turns; both warm, both with Redis or without."""
    settings = DatabaseSettings.load(places.environ({}))
    connection = await loop.connect(settings)
    redis = Redis(places.redis, REDIS_TOKEN, rest_retries=0, allow_telemetry=False)
    floor: Floor | None = None
    try:
        embed = partial(loop.embed_users, connection, redis if cached else None, services.vectors)

        async def loop_over(users: list[UUID]) -> float:
            await platform.tidy()
            begun = time.perf_counter()
            await embed(users)
            return 1000 * (time.perf_counter() - begun) / len(users)

        users = await first_users(platform, LOOPED)
        looped = users[: _enough(await loop_over(users[:20]), 20, LOOPED)]
        measures: dict[int, Measure] = {1: partial(loop_over, looped)}
        for size in PAGE_SIZES:
            page = partial(cost, sized(services, size), platform)
            await page(WARMING)
            amount = _enough(await page(size), size, platform.world.users)
            measures[size] = partial(page, amount)
            if size == FLOOR_SIZE and not cached:
                floor = await tape_floor(platform, services, settings, size, amount)
                measures[0] = floor.cost
        taken = await side_by_side(rounds, measures)
    finally:
        await redis.close()
        await connection.close()
        if floor:
            await floor.database.close()
    return Standing(places.round_trip, cached, taken.pop(1), taken.pop(0, None), taken)


def _enough(milliseconds: float, least: int, most: int) -> int:
    """Return how many users to take, of whom one costs so much."""
    return max(least, min(most, int(1000 * SECONDS / milliseconds)))


async def disagreement(platform: Platform, places: Places, services: Services) -> float:
    """Return the largest difference of any number in any vector that both have made."""
    users = await first_users(platform, 200)
    connection = await loop.connect(DatabaseSettings.load(places.environ({})))
    try:
        await loop.embed_users(connection, None, services.vectors, users)
        theirs = await _stored(connection, users)
        await connection.execute(FORGET, users)
        await cost(services, platform, len(users))
        ours = await _stored(connection, users)
    finally:
        await connection.close()
    return float(np.abs(theirs - ours).max())


async def first_users(platform: Platform, number: int) -> list[UUID]:
    """Return the first users, by id, as they stand on a run's first pages."""
    return [row["id"] for row in await platform.connection.fetch(FIRST_USERS, number)]


async def _stored(connection: loop.Connection, users: list[UUID]) -> NDArray[np.float32]:
    rows = await connection.fetch(STORED, users)
    return np.stack([row["embedding"].to_numpy() for row in rows])
