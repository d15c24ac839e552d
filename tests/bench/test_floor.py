from collections.abc import AsyncIterator

import pytest

from bench.floor import play
from bench.tape import TapedDatabase, borrowings, taping
from lib.settings import DatabaseSettings


@pytest.fixture
async def database(owner_url: str) -> AsyncIterator[TapedDatabase]:
    database = TapedDatabase(DatabaseSettings(owner_url, pooled=True))
    yield database
    await database.close()


async def count(database: TapedDatabase) -> int:
    async with database.connection() as connection:
        return await connection.fetchval("SELECT count(*) FROM users")


async def test_tape_holds_nothing_that_was_said_outside_it(database: TapedDatabase):
    await count(database)
    with taping(database) as calls:
        pass
    await count(database)
    assert calls == []


async def test_played_calls_are_made_again_with_their_transactions(database: TapedDatabase):
    with taping(database) as calls:
        async with database.connection() as connection:
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                assert await connection.fetchval("SELECT 1") == 1
            async with connection.transaction():
                await connection.execute("INSERT INTO users SELECT FROM generate_series(1, $1)", 3)
    assert await count(database) == 3
    await play(database, calls)
    await play(database, calls)
    assert await count(database) == 9


async def test_played_connections_keep_to_the_order_that_mattered(database: TapedDatabase):
    """One that began when another was over waits for it; what overlapped need not."""
    with taping(database) as calls:
        async with database.connection() as first:
            await first.execute("SELECT pg_sleep(0.2)")
            await first.execute("INSERT INTO users DEFAULT VALUES")
            async with database.connection() as second:
                await second.execute("INSERT INTO users DEFAULT VALUES")
        async with database.connection() as third:
            await third.execute("INSERT INTO users SELECT FROM users")
    assert [len(borrowing.calls) for borrowing in borrowings(calls)] == [4, 3, 3]
    assert await count(database) == 4
    await play(database, calls)
    assert await count(database) == 12


async def test_call_that_fails_when_played_is_not_hidden(database: TapedDatabase):
    with taping(database) as calls:
        async with database.connection() as connection:
            await connection.execute("INSERT INTO users VALUES (gen_random_uuid())")
            await connection.execute("CREATE TABLE once ()")
    with pytest.raises(ExceptionGroup):
        await play(database, calls)
