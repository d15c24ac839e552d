"""Reads are counted, and now and then passed on."""

from dataclasses import replace

import pytest
from asyncpg import Connection
from valkey.asyncio import Valkey as Redis

from lib.cache import encode, key
from lib.recommend.reads import Reads
from lib.recommend.services import Readers
from lib.recommend.vectors import get_user_embedding
from lib.settings import DatabaseSettings
from lib.store.database import Database
from lib.store.overview import read_totals
from tests.reads.conftest import Reads as Function
from tests.reads.conftest import store, unit

NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"


@pytest.mark.parametrize(("every", "told"), [(0.0, 3), (3600.0, 1)], ids=["always", "hourly"])
async def test_reads_are_passed_on_once_in_so_many_seconds(
    connection: Connection, functions_url: str, every: float, told: int
):
    database, reads = Database(DatabaseSettings(functions_url, pooled=True)), Reads(every)
    for _ in range(3):
        reads.count("hit")
        await reads.pass_on(database)
        if reads.passing:
            await reads.passing
    assert await read_totals(connection) == {"cache hit": told}
    await database.close()


async def test_counts_wait_while_postgres_is_down(connection: Connection, functions_url: str):
    down = Database(DatabaseSettings(NOWHERE, pooled=True))
    up = Database(DatabaseSettings(functions_url, pooled=True))
    reads = Reads(0.0)
    for database, use in ((down, "hit"), (down, "miss"), (up, "hit")):
        reads.count(use)
        await reads.pass_on(database)
        if reads.passing:
            await reads.passing
    assert await read_totals(connection) == {"cache hit": 2, "cache miss": 1}
    await up.close()


async def test_whoever_reads_is_counted_also_while_postgres_is_down(
    reads: Function, readers: Readers, connection: Connection, redis: Redis
):
    counting = replace(readers, reads=Reads(0.0))
    user = await store(connection)
    await get_user_embedding(counting, user)  # a miss
    await redis.set(key(user), encode(unit(1)))
    for down in (True, False):
        reads.proxy.refuse = down
        reads.proxy.cut()
        await get_user_embedding(counting, user)
    assert counting.reads.passing
    await counting.reads.passing
    assert await read_totals(connection) == {"cache miss": 1, "cache hit": 2}
