"""One user's vector: from Redis where that has it, and from Postgres where it has not."""

import asyncio
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from lib.cache import encode
from lib.errors import Unavailable
from lib.recommend.key import Key
from lib.recommend.services import Readers
from lib.store.database import Database
from lib.store.standings import Standing, read_standing


class Source(StrEnum):
    """Where a vector was read."""

    REDIS = "redis"
    POSTGRES = "postgres"


class CacheUse(StrEnum):
    """What became of asking Redis; MISS also where it holds another vector than Postgres."""

    HIT = "hit"
    MISS = "miss"
    TROUBLE = "trouble"
    OFF = "off"


@dataclass(frozen=True)
class Reading:
    """What was read of a user.

    `embedding`: (384,) float32, with its `source`; None of who has none, which `standing` explains.
    `standing` is None where Postgres is down, and the vector is the one that Redis has.
    """

    user: UUID
    embedding: NDArray[np.float32] | None
    source: Source | None
    cache: CacheUse
    standing: Standing | None


async def get_user_embedding(readers: Readers, user: UUID) -> Reading:
    """Read the user's vector; raise Unavailable where Postgres is down and Redis has none.

    Redis is asked first, with little patience, and its trouble never fails a read. Postgres has the
    last word: a key that holds something else is deleted, and one that is not there is filled.
    What became of asking Redis is counted.
    """
    reading = await _read(readers, user)
    if readers.cache:
        readers.reads.count(reading.cache)
        if reading.standing:  # Postgres is there to be told
            await readers.reads.pass_on(readers.database)
    return reading


async def _read(readers: Readers, user: UUID) -> Reading:
    if readers.cache is None:
        return _stored(await _standing(readers.database, user), CacheUse.OFF)
    key = Key(readers.cache, user, readers.patience.redis)
    cached = await key.look()
    vector = None if cached is None else cached.vector
    if vector is not None:
        soon = await _standing_within(readers.patience.postgres, readers.database, user)
        if soon is None:
            return Reading(user, vector, Source.REDIS, CacheUse.HIT, None)
        standing = soon
        if standing.vector and np.array_equal(standing.vector.embedding, vector):
            return Reading(user, vector, Source.REDIS, CacheUse.HIT, standing)
    else:
        standing = await _standing(readers.database, user)
    if cached is not None:
        await key.withdraw(cached.text)
    await _refill(readers.database, key, standing)
    return _stored(standing, CacheUse.TROUBLE if key.trouble else CacheUse.MISS)


def _stored(standing: Standing, cache: CacheUse) -> Reading:
    if standing.vector is None:
        return Reading(standing.user, None, None, cache, standing)
    return Reading(standing.user, standing.vector.embedding, Source.POSTGRES, cache, standing)


async def _standing(database: Database, user: UUID) -> Standing:
    async with database.connection() as connection:
        return await read_standing(connection, user)


async def _standing_within(seconds: float, database: Database, user: UUID) -> Standing | None:
    """Return how the user stands, None where Postgres is down or takes longer."""
    # not asyncio.timeout: asyncpg 0.32 waits for a server that hangs when it is cancelled
    asking = asyncio.create_task(_standing(database, user))
    asking.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
    await asyncio.wait([asking], timeout=seconds)
    if not asking.done():
        asking.cancel()
        return None
    try:
        return asking.result()
    except Unavailable:
        return None


async def _refill(database: Database, key: Key, standing: Standing) -> None:
    """Fill a key that is not there, and look again: who was erased meanwhile must not stay.

    Whatever is committed after the second look overwrites or deletes the key by itself.
    """
    if standing.vector is None or key.left <= 0:
        return
    vector = standing.vector.embedding
    filled = await key.fill(vector)
    if filled is False:
        return
    try:
        changed = _moment(await _standing(database, standing.user)) != _moment(standing)
    except Unavailable:
        changed = True
    if changed:
        await key.withdraw(encode(vector))
    elif filled:
        await key.keep(vector)


def _moment(standing: Standing) -> tuple[object, ...]:
    """Return what changes whenever the vector is written, removed or erased."""
    held = standing.vector
    return (standing.erased_at, held and (held.model_version, held.generated_at, held.updated_at))
