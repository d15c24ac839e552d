"""Reads are counted, and now and then passed on."""

import pytest
from asyncpg import Connection

from lib.recommend.reads import Reads
from lib.settings import DatabaseSettings
from lib.store.database import Database
from lib.store.overview import read_totals

NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"


@pytest.mark.parametrize(("every", "told"), [(0.0, 3), (3600.0, 1)], ids=["always", "hourly"])
async def test_reads_are_passed_on_once_in_so_many_seconds(
    connection: Connection, database_url: str, every: float, told: int
):
    database, reads = Database(DatabaseSettings(database_url, pooled=True)), Reads(every)
    for _ in range(3):
        await reads.count(database, "hit")
        if reads.passing:
            await reads.passing
    assert await read_totals(connection) == {"cache hit": told}
    await database.close()


async def test_counts_wait_while_postgres_is_down(connection: Connection, database_url: str):
    down = Database(DatabaseSettings(NOWHERE, pooled=True))
    up = Database(DatabaseSettings(database_url, pooled=True))
    reads = Reads(0.0)
    for database, use in ((down, "hit"), (down, "miss"), (up, "hit")):
        await reads.count(database, use)
        if reads.passing:
            await reads.passing
    assert await read_totals(connection) == {"cache hit": 2, "cache miss": 1}
    await up.close()
