"""Through a transaction pooler, where no statement can count on the server connection of the last.

The pooler has two server connections for everybody, which take turns, or gives every transaction
one of its own.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from urllib.parse import urlsplit
from uuid import UUID

import pytest
from asyncpg import Connection
from pgvector import Vector
from valkey.asyncio import Valkey as Redis

from dev.ageing import age_runs
from dev.pooler import Pooler, installed
from dev.postgres import Postgres
from dev.proxy import Proxy
from dev.qstash import Delivery
from dev.stack import LOGIN, SQL
from lib.errors import Unavailable
from lib.settings import DatabaseSettings
from lib.store import database as store
from lib.store.database import DATA_ERRORS, Database
from tests.conftest import Start, trigger
from tests.promises import assert_converged, open_work
from tests.scene import act, build

pytestmark = [
    pytest.mark.fault(9),
    pytest.mark.skipif(installed() is None, reason="pgbouncer is not installed"),
]

TURNS, ONCE = 3600, 0  # seconds a server connection lives
EITHER = pytest.mark.parametrize("pooler", [TURNS, ONCE], indirect=True, ids=["turns", "once"])


@pytest.fixture
async def pooler(postgres: Postgres, request: pytest.FixtureRequest) -> AsyncIterator[Pooler]:
    lifetime = getattr(request, "param", TURNS)
    async with Pooler.start(
        postgres.socket, pool_size=2, server_lifetime=lifetime, user=LOGIN
    ) as pooler:
        yield pooler


@pytest.fixture
def url(pooler: Pooler, database_url: str) -> str:
    """Where the test's database is behind the pooler."""
    return pooler.url(urlsplit(database_url).path[1:])


def small(url: str, pooled: str = "1") -> dict[str, str]:
    return {"DATABASE_URL": url, "DATABASE_POOLED": pooled, "PAGE_SIZE": "3"}


def statuses(deliveries: list[Delivery]) -> set[int | None]:
    return {delivery.status for delivery in deliveries}


# Whole runs


@EITHER
async def test_run_of_four_chains_doubled_gives_every_user_the_reference_s_vector(
    start: Start, connection: Connection, redis: Redis, url: str
):
    scene = await build(connection)
    stack = await start(small(url) | {"PARALLEL_CHAINS": "4"})
    stack.broker.copies = 2
    await trigger(stack)
    assert statuses(await stack.broker.drain()) == {200}
    await assert_converged(connection, redis, scene.users)
    assert await open_work(connection) == (0, 0)


async def test_run_takes_no_more_server_connections_than_the_pool_has(
    start: Start, connection: Connection, url: str
):
    await build(connection)
    stack = await start(small(url) | {"PARALLEL_CHAINS": "4"})
    most, one_by_one = 0, asyncio.Lock()

    async def count(_: Delivery) -> None:
        nonlocal most
        async with one_by_one:
            most = max(most, await connection.fetchval(OTHERS))

    stack.broker.on_delivered = count
    await trigger(stack)
    assert statuses(await stack.broker.drain()) == {200}
    assert most == 2


OTHERS = (
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


@EITHER
async def test_runs_one_after_another_go_on_while_the_schema_is_applied_again(
    start: Start, connection: Connection, redis: Redis, url: str, postgres: Postgres
):
    """What a warm function remembers of its statements holds for the next run."""
    scene = await build(connection, users=20)
    stack = await start(small(url))
    for number in range(1, 4):
        await trigger(stack)
        assert statuses(await stack.broker.drain()) == {200}
        assert await connection.fetchval("SELECT max(number) FROM embedding.runs") == number
        await assert_converged(connection, redis, scene.users)
        await age_runs(connection, 7200)
        await postgres.apply(urlsplit(url).path[1:], *SQL)
        for user in scene.users:
            await act(connection, user, scene.posts[number], "share_post")
    assert stack.functions.starts == 1


async def test_two_instances_at_work_on_one_run_finish_it(
    start: Start, connection: Connection, redis: Redis, url: str
):
    scene = await build(connection)
    settings = small(url) | {"PARALLEL_CHAINS": "2"}
    one, two = await start(settings), await start(settings)
    for stack in (one, two):  # the second finds the run in progress, and joins in
        assert (await stack.broker.deliver(await trigger(stack))).status == 200
    while one.broker.pending() or two.broker.pending():  # side by side, whichever is faster
        await asyncio.gather(one.broker.drain(max_deliveries=2), two.broker.drain(max_deliveries=2))
    for stack in (one, two):
        assert statuses(stack.broker.deliveries) == {200}
        assert len(stack.broker.deliveries) > 5
    await assert_converged(connection, redis, scene.users)
    assert await open_work(connection) == (0, 0)
    assert await connection.fetchval("SELECT count(*) FROM embedding.runs") == 1


async def test_function_killed_between_statements_leaves_nothing_in_the_pool(
    start: Start, connection: Connection, redis: Redis, url: str
):
    """It dies in the middle of transactions, whose server connections others get next."""
    scene = await build(connection)
    name, folder = urlsplit(url).path[1:], Path(urlsplit(url).query.removeprefix("host="))
    async with Proxy.start(folder / ".s.PGSQL.5432") as before_the_pooler:
        stack = await start(small(before_the_pooler.url(name)))
        sent, kills = 0, 0

        async def kill_now_and_then(kind: bytes, _: bytes) -> None:
            nonlocal sent, kills
            if kind in b"QE":
                sent += 1
                if sent % 83 == 0 and kills < 4:  # no message sends as many, so its retry lives
                    kills += 1
                    stack.functions.kill()
                    raise ConnectionResetError

        before_the_pooler.on_message = kill_now_and_then
        await trigger(stack)
        await stack.broker.drain()
    assert kills == 4
    assert stack.broker.dead_letters == []
    await assert_converged(connection, redis, scene.users)
    assert await open_work(connection) == (0, 0)


@pytest.mark.parametrize("pooler", [ONCE], indirect=True)
async def test_pooler_that_the_settings_deny_is_unavailable_and_named(
    start: Start, connection: Connection, redis: Redis, url: str
):
    scene = await build(connection, users=20)
    mistaken = await start(small(url, pooled="0"))
    await trigger(mistaken)
    deliveries = await mistaken.broker.drain()
    assert 503 in statuses(deliveries)
    assert statuses(deliveries) <= {200, 503}
    assert any(
        '"unavailable"' in line and 'prepared statement \\"__asyncpg_stmt' in line
        for line in mistaken.functions.logs
    )
    await age_runs(connection, 7200)
    corrected = await start(small(url))
    await trigger(corrected)
    assert statuses(await corrected.broker.drain()) == {200}
    await assert_converged(connection, redis, scene.users)


# Statements, one by one


@dataclass(frozen=True)
class Statement:
    """Selects so many rows, as its first argument says, each of which has all other arguments."""

    types: tuple[str, ...]

    @property
    def sql(self) -> str:
        columns = (f", ${n}::{kind} AS c{n}" for n, kind in enumerate(self.types, 2))
        return f"SELECT n{''.join(columns)} {ROWS}"

    async def check(self, connection: store.Connection, random: Random) -> None:
        count = random.randrange(4)
        values = [VALUES[kind](random) if random.random() < 0.9 else None for kind in self.types]
        rows = await connection.fetch(self.sql, count, *values)
        assert [tuple(row) for row in rows] == [(n, *values) for n in range(1, count + 1)]


ROWS = "FROM generate_series(1, $1::INTEGER) AS n"
VALUES: dict[str, Callable[[Random], object]] = {
    "BOOLEAN": lambda random: random.random() < 0.5,
    "SMALLINT": lambda random: random.randrange(-(2**15), 2**15),
    "INTEGER": lambda random: random.randrange(-(2**31), 2**31),
    "BIGINT": lambda random: random.randrange(-(2**63), 2**63),
    "DOUBLE PRECISION": lambda random: random.gauss(),
    "TEXT": lambda random: "".join(random.choices("aä€𝄞'\\ \n", k=random.randrange(30))),
    "BYTEA": lambda random: random.randbytes(random.randrange(100_000)),
    "UUID": lambda random: UUID(int=random.getrandbits(128)),
    "UUID[]": lambda random: [UUID(int=random.getrandbits(128))] * random.randrange(3),
    "TEXT[]": lambda random: random.choices(["", "a", None], k=random.randrange(3)),
    "TIMESTAMPTZ": lambda random: datetime.fromtimestamp(random.randrange(2**31), UTC),
    "vector": lambda random: Vector([random.randrange(99) for _ in range(random.randint(1, 9))]),
}


async def write(connection: store.Connection, random: Random) -> None:
    post = UUID(int=random.getrandbits(128))
    assert await connection.execute(INSERT, post) == "INSERT 0 1"
    assert await connection.fetchval(SELECT, post) == post
    assert await connection.fetchrow(DELETE, post) == (1,)


INSERT = "INSERT INTO embedding.post_popularity VALUES ($1, 0)"
SELECT = "SELECT post_id FROM embedding.post_popularity WHERE post_id = $1"
DELETE = "DELETE FROM embedding.post_popularity WHERE post_id = $1 RETURNING 1"


async def fail(connection: store.Connection, random: Random) -> None:
    with pytest.raises(DATA_ERRORS):
        await connection.fetchval("SELECT $1::INTEGER / 0", random.randrange(9))
    with pytest.raises(DATA_ERRORS):
        await connection.fetchval("SELECT $1::SMALLINT", 2**15)


async def transact(connection: store.Connection, random: Random) -> None:
    async with connection.transaction(isolation="repeatable_read"):
        alone = await connection.fetchrow(ALONE)
        await STATEMENTS[random.randrange(len(STATEMENTS))].check(connection, random)
        await write(connection, random)
        assert await connection.fetchrow(ALONE) == alone


ALONE = "SELECT pg_backend_pid(), now(), current_setting('transaction_isolation')"
STATEMENTS = [
    Statement(tuple(mix.choices(list(VALUES), k=mix.randrange(6))))
    for mix in [Random(3)]
    for _ in range(40)
]


@asynccontextmanager
async def instances(url: str) -> AsyncIterator[list[Database]]:
    """Open what four function instances would."""
    opened = [Database(DatabaseSettings(url, pooled=True)) for _ in range(4)]
    try:
        yield opened
    finally:
        for database in opened:
            await database.close()


@pytest.mark.parametrize(
    ("pooler", "rounds"), [(TURNS, 50), (ONCE, 10)], indirect=["pooler"], ids=["turns", "once"]
)
async def test_twenty_clients_get_each_its_own_answers_to_many_statements(url: str, rounds: int):
    met: dict[int, set[int]] = defaultdict(set)  # server connections, by client

    async def work(database: Database, random: Random) -> None:
        for _ in range(rounds):
            async with database.connection() as connection:
                rare = random.choice([write, fail, transact])
                step = random.choice(STATEMENTS).check if random.random() < 0.7 else rare
                await step(connection, random)
                server = await connection.fetchval("SELECT pg_backend_pid()")
                met[connection.get_server_pid()].add(server)

    async with instances(url) as databases:
        await asyncio.gather(*(work(databases[n % 4], Random(n)) for n in range(20)))
    assert len(met) == 20
    assert all(len(servers) >= 2 for servers in met.values())


async def test_statement_out_of_time_costs_no_other_client_its_own(url: str):
    async def hang(database: Database) -> None:
        for _ in range(5):
            with pytest.raises(Unavailable, match="TimeoutError"):
                await ask(database, "SELECT pg_sleep(30), $1::INTEGER", 0, seconds=0.05)

    async def work(database: Database) -> None:
        for n in range(40):
            assert await ask(database, "SELECT $1::INTEGER FROM pg_sleep(0.002)", n) == n

    async with instances(url) as databases:
        hanging = [hang(database) for database in databases[:2]]
        await asyncio.gather(*hanging, *(work(database) for database in databases * 2))


async def ask(database: Database, query: str, value: object, seconds: float = 10.0) -> object:
    async with database.connection() as connection:
        return await connection.fetchval(query, value, timeout=seconds)


@pytest.mark.parametrize("kind", ["REAL", "TEXT", "BIGINT"])
async def test_statement_that_says_its_types_outlives_those_of_the_columns(
    connection: Connection, url: str, kind: str
):
    await connection.execute("CREATE TABLE changing (n INTEGER); GRANT ALL ON changing TO PUBLIC")
    query = "INSERT INTO changing VALUES ($1::INTEGER) RETURNING n::INTEGER"
    async with instances(url) as databases:
        for database in databases:
            assert await ask(database, query, 557_924_672) == 557_924_672  # !AA@ in bytes
        await connection.execute(f"ALTER TABLE changing ALTER n TYPE {kind}")
        for database in databases:
            assert await ask(database, query, 557_924_672) == 557_924_672
    written = await connection.fetch("SELECT DISTINCT n::INTEGER FROM changing")
    assert [row["n"] for row in written] == [557_924_672]
