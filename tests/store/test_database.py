import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg
import pytest
from pgvector import Vector

from dev.proxy import Proxy
from dev.stack import LOGIN
from lib.errors import EmbeddingError
from lib.store.database import DATA_ERRORS, Connection, Database
from tests.scene import connect
from tests.store.pool import one, opened, unavailable


@pytest.fixture
async def other(shared_url: str) -> AsyncIterator[asyncpg.Connection]:
    """Lend a connection that is not the database's own."""
    opened = await connect(shared_url)
    yield opened
    await opened.close()


def through(proxy: Proxy, shared_url: str) -> str:
    return proxy.url(urlsplit(shared_url).path[1:], LOGIN)


async def test_nothing_is_opened_before_it_is_used(proxy: Proxy, shared_url: str):
    async with opened(through(proxy, shared_url)) as database:
        await asyncio.sleep(0)
        assert proxy.connections == 0
        assert await one(database) == 1
        assert await one(database) == 1
        assert proxy.connections == 1


async def test_requests_that_overlap_share_one_pool_that_is_bounded(proxy: Proxy, shared_url: str):
    async with opened(through(proxy, shared_url)) as database:
        proxy.delay = 0.01
        assert await asyncio.gather(*(one(database) for _ in range(12))) == [1] * 12
        assert 1 < proxy.connections <= 5


@pytest.mark.fault(8)
async def test_pool_opens_again_after_a_server_that_refused(proxy: Proxy, shared_url: str):
    async with opened(through(proxy, shared_url)) as database:
        proxy.refuse = True
        await unavailable(one(database))
        proxy.refuse = False
        assert await one(database) == 1
        proxy.refuse = True
        proxy.cut()
        await unavailable(one(database))
        proxy.refuse = False
        assert await one(database) == 1


async def terminated(connection: Connection, other: asyncpg.Connection) -> None:
    backend = await connection.fetchval("SELECT pg_backend_pid()")
    await other.execute("SELECT pg_terminate_backend($1, 5000)", backend)


async def write(
    database: Database, before_the_end: Callable[[Connection], Awaitable[None]]
) -> None:
    async with database.connection() as connection, connection.transaction():
        await connection.execute("INSERT INTO users (id) VALUES ($1)", UUID(int=1))
        await before_the_end(connection)
        await connection.execute("INSERT INTO users (id) VALUES ($1)", UUID(int=2))


@pytest.mark.fault(8)
async def test_backend_that_is_terminated_in_mid_transaction_is_unavailable(
    database: Database, other: asyncpg.Connection
):
    async def terminate(mine: Connection) -> None:
        await terminated(mine, other)

    await unavailable(write(database, terminate))
    assert await other.fetchval("SELECT count(*) FROM users") == 0
    assert await one(database) == 1


@pytest.mark.fault(8)
async def test_connection_that_breaks_in_mid_transaction_is_unavailable(
    proxy: Proxy, shared_url: str, other: asyncpg.Connection
):
    async def cut(_: Connection) -> None:
        proxy.cut()

    async with opened(through(proxy, shared_url)) as database:
        await unavailable(write(database, cut))
        assert await other.fetchval("SELECT count(*) FROM users") == 0
        assert await one(database) == 1


@pytest.mark.fault(8)
async def test_idle_connection_that_broke_is_replaced(
    database: Database, other: asyncpg.Connection
):
    async with database.connection() as mine:
        backend = await mine.fetchval("SELECT pg_backend_pid()")
    await other.execute("SELECT pg_terminate_backend($1, 5000)", backend)
    await asyncio.sleep(0.05)
    assert await one(database) == 1


@pytest.mark.parametrize(
    ("query", "arguments"),
    [
        ("SELECT 1 / $1::INTEGER", [0]),
        ("SELECT $1::INTEGER", ["text"]),
        ("SELECT $1::TEXT", ["\x00"]),
        ("SELECT $1::TEXT", ["\ud800"]),
        ("SELECT $1::INTEGER", [2**40]),
        ("SELECT '[1,2]'::vector(3)", []),
        ("SELECT $1::vector::vector(3)", [Vector([1, 2])]),
        (
            "INSERT INTO embedding.mean_checks SELECT $1, now(), n FROM generate_series(1, 2) n",
            ["model"],
        ),
        ("INSERT INTO user_embeddings (user_id, model_version) VALUES ($1, '')", [UUID(int=1)]),
        ("INSERT INTO embedding.erasures (user_id) VALUES (NULL)", []),
    ],
    ids=[
        "division by zero",
        "wrong type",
        "zero byte",
        "lone surrogate",
        "overflow",
        "text of a wrong dimension",
        "wrong dimension",
        "duplicate",
        "no such user",
        "missing",
    ],
)
@pytest.mark.parametrize("pooled", [True, False], ids=["pooled", "direct"])
async def test_data_errors_pass_through_and_the_connection_lives_on(
    shared_url: str,
    pooled: bool,  # noqa: FBT001  # a column of the table
    query: str,
    arguments: list[object],
):
    async with opened(shared_url, pooled=pooled) as database:
        async with database.connection() as connection:
            backend = connection.get_server_pid()
        with pytest.raises(DATA_ERRORS):
            await fetch(database, query, arguments)
        async with database.connection() as connection:
            assert connection.get_server_pid() == backend


async def fetch(database: Database, query: str, arguments: list[object]) -> None:
    async with database.connection() as connection:
        await connection.fetch(query, *arguments)


@pytest.mark.parametrize(
    "query",
    ["SELECT * FROM missing", "SELEKT", "SELECT 1 FROM users FOR nothing"],
)
async def test_errors_that_accuse_the_server_or_its_schema_are_unavailable(
    database: Database, query: str
):
    await unavailable(fetch(database, query, []))


@pytest.mark.parametrize("error", [EmbeddingError("bad"), KeyError("k"), ValueError("v")], ids=repr)
async def test_error_that_is_not_of_postgres_passes_through(database: Database, error: Exception):
    with pytest.raises(type(error)) as raised:
        await fail(database, error)
    assert raised.value is error
    assert await one(database) == 1


async def fail(database: Database, error: Exception) -> None:
    async with database.connection():
        raise error


@pytest.mark.parametrize(("pooled", "prepared"), [(True, 0), (False, 2)], ids=["pooled", "direct"])
async def test_statements_are_prepared_only_where_no_pooler_stands_between(
    shared_url: str,
    pooled: bool,  # noqa: FBT001  # a column of the table
    prepared: int,
):
    async with opened(shared_url, pooled=pooled) as database, database.connection() as connection:
        for n in range(3):
            assert await connection.fetchval("SELECT $1::INTEGER + 100", n) == n + 100
            [vector] = await connection.fetchrow("SELECT $1::vector", Vector([1, n]))
            assert vector == Vector([1, n])
        held = await connection.fetch(
            "SELECT statement FROM pg_prepared_statements WHERE statement LIKE 'SELECT $1::%'"
        )
        assert len(held) == prepared


async def test_pool_that_was_closed_is_unavailable(shared_url: str):
    async with opened(shared_url) as database:
        await one(database)
    await unavailable(one(database))


async def test_closing_what_was_never_opened_does_nothing(shared_url: str):
    async with opened(shared_url):
        pass
