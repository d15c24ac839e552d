import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest

from dev.pooler import Pooler, installed
from dev.postgres import Postgres

pytestmark = pytest.mark.skipif(installed() is None, reason="pgbouncer is not installed")

BACKEND = "SELECT pg_backend_pid()"


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with Postgres.start() as server:
        yield server


@pytest.fixture
async def pooler(postgres: Postgres) -> AsyncIterator[Pooler]:
    async with Pooler.start(postgres.socket, pool_size=2) as pooler:
        yield pooler


async def connect(server: Pooler | Postgres, prepared: int = 0) -> asyncpg.Connection:
    return await asyncpg.connect(
        server.url("postgres"), timeout=5, command_timeout=5, statement_cache_size=prepared
    )


def children() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if child.name() == "pgbouncer"]


def assert_gone(process: psutil.Process, pooler: Pooler) -> None:
    assert not process.is_running()
    assert not Path(pooler.url("").split("host=")[1]).exists()


async def test_many_clients_share_two_server_connections_that_take_turns(pooler: Pooler):
    clients = [await connect(pooler) for _ in range(12)]
    asked = (client.fetchval(f"{BACKEND} FROM pg_sleep(0.01)") for client in clients)
    both = set(await asyncio.gather(*asked))
    assert len(both) == 2
    for client in clients:
        assert {await client.fetchval(BACKEND), await client.fetchval(BACKEND)} == both
    for client in clients:
        await client.close()


async def test_transaction_keeps_its_server_connection_from_all_others(pooler: Pooler):
    one, two = await connect(pooler), await connect(pooler)
    async with one.transaction():
        kept = await one.fetchval(BACKEND)
        for _ in range(5):
            assert await two.fetchval(BACKEND) != kept
            assert await one.fetchval(BACKEND) == kept
    await one.close()
    await two.close()


async def test_client_waits_while_all_server_connections_are_lent(pooler: Pooler):
    one, two, three = [await connect(pooler) for _ in range(3)]
    async with one.transaction():
        async with two.transaction():
            waiting = asyncio.create_task(three.fetchval(BACKEND))
            freed = await two.fetchval(BACKEND)
            assert not waiting.done()
        assert await waiting == freed
    for client in (one, two, three):
        await client.close()


async def test_client_that_goes_away_in_mid_transaction_is_undone(pooler: Pooler):
    gone, other = await connect(pooler), await connect(pooler)
    await other.execute("CREATE TABLE IF NOT EXISTS undone (n int)")
    await gone.execute("BEGIN; INSERT INTO undone VALUES (1)")
    gone.terminate()
    async with other.transaction():
        await other.execute("LOCK TABLE undone")  # granted when the server has noticed
        assert await other.fetchval("SELECT count(*) FROM undone") == 0
    await other.close()


async def test_lifetime_of_nothing_gives_each_transaction_a_server_connection_of_its_own(
    postgres: Postgres,
):
    async with Pooler.start(postgres.socket, pool_size=1, server_lifetime=0) as pooler:
        client = await connect(pooler)
        met = [await client.fetchval(BACKEND) for _ in range(5)]
        assert len(set(met)) == 5
        await client.close()


async def test_prepared_statement_is_gone_with_the_server_connection_that_had_it(
    postgres: Postgres,
):
    async with Pooler.start(postgres.socket, pool_size=1, server_lifetime=0) as pooler:
        client = await connect(pooler, prepared=100)
        assert await client.fetchval("SELECT 1") == 1
        with pytest.raises(asyncpg.InvalidSQLStatementNameError, match="does not exist"):
            await client.fetchval("SELECT 1")
        await client.close()


async def test_pooler_reaches_every_database_by_its_name(pooler: Pooler, postgres: Postgres):
    name = "hyphen-ated ?&/%41"
    await postgres.create(name)
    client = await asyncpg.connect(pooler.url(name), timeout=5, statement_cache_size=0)
    assert await client.fetchval("SELECT current_database()") == name
    await client.close()
    await postgres.drop(name)


async def test_whoever_uses_a_dropped_database_is_cut_off_and_nobody_else(
    pooler: Pooler, postgres: Postgres
):
    name = 'quo"ted'
    await postgres.create(name)
    cut = await asyncpg.connect(pooler.url(name), timeout=5, statement_cache_size=0)
    stays = await connect(pooler)
    assert await cut.fetchval("SELECT 1") == 1
    await pooler.drop(name)
    with pytest.raises((asyncpg.PostgresConnectionError, asyncpg.InterfaceError)):
        await cut.fetchval("SELECT 1")
    assert await stays.fetchval("SELECT 1") == 1
    await stays.close()
    await postgres.drop(name)


async def test_pooler_leaves_nothing_though_clients_are_connected(postgres: Postgres):
    async with Pooler.start(postgres.socket, pool_size=2) as pooler:
        client = await connect(pooler)
        await client.execute("BEGIN")
        [process] = children()
    assert_gone(process, pooler)
    with pytest.raises((asyncpg.PostgresConnectionError, asyncpg.InterfaceError, OSError)):
        await client.execute("COMMIT")

    direct = await connect(postgres)
    others = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
    for _ in range(500):  # the server notices in a moment
        if await direct.fetchval(others) == 1:
            break
        await asyncio.sleep(0.01)
    else:
        pytest.fail("expected no backend but this one's")
    await direct.close()


async def test_pooler_that_does_not_start_tells_what_it_said(postgres: Postgres):
    refused = Pooler.start(postgres.socket, pool_size=2, server_lifetime="long")  # type: ignore[arg-type]  # what it refuses
    with pytest.raises(RuntimeError, match='invalid value "long"'):
        await refused.__aenter__()
    assert children() == []


async def test_pooler_that_dies_within_the_block_is_an_error(postgres: Postgres):
    with pytest.raises(RuntimeError, match=r"pgbouncer ended with -9: (?s:.*)process up"):
        await outlive_a_pooler(postgres)


async def outlive_a_pooler(postgres: Postgres) -> None:
    async with Pooler.start(postgres.socket, pool_size=2):
        [process] = children()
        process.kill()
        for _ in range(500):  # the event loop notices in a moment
            if not children():
                break
            await asyncio.sleep(0.01)


async def test_server_that_is_not_there_is_an_error(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"\.s\.PGSQL\.5432"):
        await Pooler.start(tmp_path / ".s.PGSQL.5432", pool_size=2).__aenter__()
