"""Postgres dead, restarted, full, stalled, or ending connections: 503, and nothing lost."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest
from asyncpg import Connection
from valkey.asyncio import Valkey as Redis

from dev import upstash
from dev.pooler import Pooler
from dev.postgres import Postgres
from dev.proxy import Proxy
from dev.qstash import Delivery, State
from dev.stack import LOGIN, SQL, running
from dev.valkey import Valkey
from tests.conftest import Start, before, trigger
from tests.promises import open_work
from tests.scene import build, connect
from tests.tally import Tally

pytestmark = [pytest.mark.fault(8), pytest.mark.timeout(300)]

RETRY_AFTER = 60  # seconds
MOMENT = 30  # seconds that a drain waits: less than that
TERMINATE = (
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


async def test_backend_ended_before_each_statement_of_a_page_loses_nothing(
    start: Start, connection: Connection, redis: Redis, proxy: Proxy, tally: Tally
):
    """The n-th page loses its backends at its n-th statement; a retry is left alone."""
    scene = await build(connection)
    stack = await start({"PAGE_SIZE": "3"}, proxy=proxy)
    seen, victim, succeeded = 0, 0, 0
    ended: set[bytes] = set()

    async def terminate(kind: bytes, _: bytes) -> None:
        nonlocal seen
        if kind in b"QE":
            seen += 1
            under_way = {m.body for m in stack.broker.messages if m.state is State.ACTIVE}
            if seen == victim and not under_way & ended:
                ended.update(under_way)
                tally.tried += 1
                await connection.fetchval(TERMINATE)

    async def next_victim(delivery: Delivery) -> None:
        nonlocal seen, victim, succeeded
        succeeded += delivery.status == 200
        seen, victim = 0, succeeded if delivery.status == 200 else 0

    proxy.on_message = terminate
    stack.broker.on_delivered = next_victim
    await trigger(stack)
    await stack.broker.drain()
    assert tally.tried >= 12, "a page has at least so many statements"
    assert stack.broker.dead_letters == []
    await tally.converged(connection, redis, scene.users)
    assert await open_work(connection) == (0, 0)


@pytest.mark.parametrize("way", ["reset", "cut off in a message", "cut off in an answer"])
async def test_connections_that_break_answer_503_and_lose_nothing(  # noqa: PLR0917  # fixtures
    start: Start, connection: Connection, redis: Redis, proxy: Proxy, tally: Tally, way: str
):
    scene = await build(connection, users=20)
    name = await connection.fetchval("SELECT current_database()")
    stack = await start({"PAGE_SIZE": "10", "DATABASE_URL": proxy.tcp_url(name)})
    await trigger(stack)
    await stack.broker.drain(max_deliveries=1)

    async def reset(kind: bytes, payload: bytes) -> None:
        if kind == b"P" and b"INSERT INTO user_embeddings" in payload:
            proxy.reset()

    match way:
        case "reset":
            proxy.on_message = reset
        case "cut off in a message":
            proxy.forth.left = 3000
        case _:
            proxy.back.left = 3000
    assert {d.status for d in await stack.broker.drain(limit_seconds=MOMENT)} == {503}
    proxy.on_message, proxy.forth.left, proxy.back.left = None, None, None
    assert {d.status for d in await stack.broker.drain()} == {200}
    await tally.converged(connection, redis, scene.users)
    assert await open_work(connection) == (0, 0)


async def test_server_without_a_connection_to_spare_answers_503_and_loses_nothing(
    start: Start, connection: Connection, redis: Redis, tally: Tally
):
    scene = await build(connection, users=20)
    name = await connection.fetchval("SELECT current_database()")
    role = f"role_{uuid4().hex}"
    await connection.execute(f"CREATE ROLE {role} LOGIN CONNECTION LIMIT 0")
    grants = f"GRANT ALL ON ALL TABLES IN SCHEMA public, embedding TO {role}"
    await connection.execute(f"GRANT USAGE ON SCHEMA embedding TO {role}; {grants}")
    host = await host_of(connection)
    stack = await start(
        {"PAGE_SIZE": "10", "DATABASE_URL": f"postgresql://{role}@/{name}?host={host}"}
    )
    await trigger(stack)
    try:
        [refused] = await stack.broker.drain(limit_seconds=MOMENT)
        assert refused.status == 503
        assert any("TooManyConnections" in line for line in stack.functions.logs)
        await connection.execute(f"ALTER ROLE {role} CONNECTION LIMIT -1 SUPERUSER")
        assert {d.status for d in await stack.broker.drain()} == {200}
        await tally.converged(connection, redis, scene.users)
        assert await open_work(connection) == (0, 0)
    finally:
        await connection.execute(f"DROP OWNED BY {role}")
        await connection.execute(f"DROP ROLE {role}")


async def host_of(connection: Connection) -> str:
    """Return the folder of the server's socket."""
    return await connection.fetchval("SHOW unix_socket_directories")


async def test_server_that_stalls_for_longer_than_a_statement_may_take_loses_nothing(
    start: Start, connection: Connection, redis: Redis, proxy: Proxy, tally: Tally
):
    scene = await build(connection, users=20)
    stack = await start({"PAGE_SIZE": "20"}, proxy=proxy)
    await trigger(stack)
    await stack.broker.drain(max_deliveries=1)

    async def stall(kind: bytes, payload: bytes) -> None:
        if kind == b"P" and b"INSERT INTO user_embeddings" in payload:
            proxy.stall()

    proxy.on_message = stall
    [given_up] = await stack.broker.drain(max_deliveries=1)
    assert given_up.status == 503
    proxy.on_message = None
    proxy.heal()
    assert {d.status for d in await stack.broker.drain()} == {200}
    await tally.converged(connection, redis, scene.users)
    assert await open_work(connection) == (0, 0)


@pytest.fixture(scope="module")
def own_postgres() -> Iterator[Postgres]:
    with Postgres.start() as server:
        yield server


@pytest.fixture
async def own_front(
    own_postgres: Postgres, request: pytest.FixtureRequest
) -> AsyncIterator[Postgres | Pooler]:
    async with before(own_postgres, request.config) as reached:
        yield reached


@pytest.fixture
async def own_url(own_postgres: Postgres) -> AsyncIterator[str]:
    """A database on a server that nobody else uses, which keeps what it has committed."""
    name = f"own_{uuid4().hex}"
    url = await own_postgres.create(name)
    await own_postgres.apply(name, *SQL)
    connection = await connect(url)
    await connection.execute(f"ALTER DATABASE {name} SET synchronous_commit = on")
    await connection.close()
    yield url
    await own_postgres.drop(name)


async def reachable(url: str) -> None:
    """Wait until a pooler tries the server again, which it does within a Retry-After."""
    async with asyncio.timeout(RETRY_AFTER):
        while True:
            try:
                connection = await asyncpg.connect(url, statement_cache_size=0)
                await connection.execute("SELECT 1")
            except (asyncpg.PostgresError, asyncpg.InterfaceError):
                await asyncio.sleep(0.1)
            else:
                await connection.close()
                return


async def test_server_that_dies_in_mid_page_and_recovers_loses_nothing(
    own_postgres: Postgres,
    own_front: Postgres | Pooler,
    own_url: str,
    valkey_empty: Valkey,
    redis: Redis,
    *,
    tally: Tally,
):
    connection = await connect(own_url)
    scene = await build(connection, users=20)
    await connection.close()
    login = own_front.url(urlsplit(own_url).path[1:], LOGIN)
    async with running(login, valkey_empty, {"PAGE_SIZE": "5"}) as stack:

        async def die(request: upstash.Request, stage: upstash.Stage) -> None:
            if request.path == "/pipeline" and stage is upstash.Stage.ARRIVED:
                stack.upstash.on_request = None
                own_postgres.stop_at_once()

        await trigger(stack)
        await stack.broker.drain(max_deliveries=2)
        stack.upstash.on_request = die
        died = await stack.broker.drain(limit_seconds=MOMENT)
        assert {d.status for d in died} == {503}
        own_postgres.start_again()
        await reachable(login)
        assert {d.status for d in await stack.broker.drain()} == {200}
        connection = await connect(own_url)
        await tally.converged(connection, redis, scene.users)
        assert await open_work(connection) == (0, 0)
        await connection.close()
