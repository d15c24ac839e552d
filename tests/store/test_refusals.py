import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from dev.postgres import Postgres
from tests.fast_loop import FastLoop
from tests.store.pool import CANARY, one, opened, unavailable


@pytest.fixture
async def role(postgres: Postgres) -> AsyncIterator[str]:
    """Make a role that needs its password, and that has no connections to spare."""
    name = f"role_{uuid4().hex}"
    admin = await asyncpg.connect(postgres.url("postgres"))
    await admin.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'another' CONNECTION LIMIT 0")
    with asking_for_a_password(Path(await admin.fetchval("SHOW hba_file")), name):
        await admin.execute("SELECT pg_reload_conf()")
        yield name
    await admin.execute(f"DROP ROLE {name}; SELECT pg_reload_conf()")
    await admin.close()


@contextlib.contextmanager
def asking_for_a_password(rules: Path, role: str) -> Iterator[None]:
    before = rules.read_text()
    rules.write_text(f"local all {role} scram-sha-256\n{before}")
    try:
        yield
    finally:
        rules.write_text(before)


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://user:{CANARY}@127.0.0.1:1/app",
        f"postgresql://user:{CANARY}@/app?host=/nowhere/{CANARY}",
        f"postgresql://user:{CANARY}@127.0.0.1:1/app?sslmode=nonsense",
    ],
    ids=["nobody listens", "no socket", "no such mode"],
)
async def test_host_out_of_reach_is_unavailable(url: str):
    async with opened(url) as database:
        for _ in range(2):
            await unavailable(one(database))


async def test_wrong_database_is_unavailable(postgres: Postgres):
    async with opened(postgres.url("missing")) as database:
        assert "InvalidCatalogNameError" in await unavailable(one(database))


async def test_wrong_role_is_unavailable(shared_url: str):
    url = shared_url.replace("functions@", f"nobody:{CANARY}@")
    async with opened(url) as database:
        assert "nobody" in await unavailable(one(database))


async def test_wrong_password_is_unavailable(shared_url: str, role: str):
    await assert_refused(shared_url, role, CANARY, "InvalidPasswordError")


async def test_too_many_connections_are_unavailable(shared_url: str, role: str):
    await assert_refused(shared_url, role, "another", "TooManyConnectionsError")


async def assert_refused(shared_url: str, role: str, password: str, kind: str) -> None:
    """Hold that a role is refused; a reload takes the server a moment."""
    url = shared_url.replace("functions@", f"{role}:{password}@")
    async with opened(url) as database, asyncio.timeout(10):
        for _ in range(100):
            if kind in await unavailable(one(database)):
                return
            await asyncio.sleep(0.02)
    pytest.fail(f"expected {kind}")


async def test_database_without_pgvector_is_unavailable(postgres: Postgres):
    name = f"bare_{uuid4().hex}"
    async with opened(await postgres.create(name)) as database:
        assert "vector is not installed" in await unavailable(one(database))
    await postgres.drop(name)


async def test_server_that_speaks_something_else_is_unavailable():
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 3)
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    url = f"postgresql://user:{CANARY}@127.0.0.1:{port}/app?sslmode=disable"
    async with server, opened(url) as database:
        await unavailable(one(database))


def test_server_that_hangs_as_it_is_connected_to_is_unavailable():
    async def hang() -> None:
        held = []
        server = await asyncio.start_server(
            lambda *ends: held.append(ends), "127.0.0.1", 0, start_serving=True
        )
        port = server.sockets[0].getsockname()[1]
        async with opened(f"postgresql://user:{CANARY}@127.0.0.1:{port}/app") as database:
            assert "TimeoutError" in await unavailable(one(database))
        for _, writer in held:
            writer.close()
        server.close()

    in_fast_time(hang)


def test_statement_that_takes_for_ever_is_unavailable(shared_url: str):
    async def sleep() -> None:
        async with opened(shared_url) as database:
            async with database.connection() as connection:
                begun = await connection.fetchval("SELECT clock_timestamp()")

            async def slow() -> None:
                async with database.connection() as connection:
                    await connection.execute("SELECT pg_sleep(60)")

            assert "TimeoutError" in await unavailable(slow())
            async with database.connection() as connection:
                ended = await connection.fetchval("SELECT clock_timestamp()")
        assert (ended - begun).total_seconds() < 10

    in_fast_time(sleep)


def in_fast_time(test: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        await test()

    with asyncio.Runner(loop_factory=FastLoop) as runner:
        runner.run(bounded())
