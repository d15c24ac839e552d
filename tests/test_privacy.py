"""Erasure, objection and export: what was forgotten never comes back, whatever is under way."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import httpx
import numpy as np
import pytest
from asyncpg import Connection
from valkey.asyncio import Valkey as Redis

from dev import upstash
from dev.pooler import Pooler, installed
from dev.postgres import Postgres
from dev.proxy import Proxy
from dev.stack import LOGIN, Stack
from lib.cache import Cache, key
from lib.commands import users as commands
from lib.errors import SettingError, Unavailable
from lib.privacy import erase_user, export_user, opt_in_user, opt_out_user
from lib.settings import CacheSettings, DatabaseSettings, RedisSettings
from lib.store import erasures
from lib.store.database import Database
from lib.store.erasures import Erasure
from lib.store.rebuilds import make_due, open_rebuild
from tests.conftest import Start, trigger
from tests.promises import actions_by_user, assert_mirrored, counts, rows, usable_embeddings
from tests.reference import cosine, interest_vector
from tests.scene import Scene, act, build

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

type Forget = Callable[[Database, Cache | None, UUID], Awaitable[Erasure]]

FORGETTING = pytest.mark.parametrize("forget", [erase_user, opt_out_user])


@pytest.fixture
async def database(functions_url: str) -> AsyncIterator[Database]:
    """The test's own way to Postgres, past any proxy."""
    made = Database(DatabaseSettings(functions_url, pooled=True))
    yield made
    await made.close()


@asynccontextmanager
async def cached(stack: Stack) -> AsyncIterator[Cache]:
    cache = Cache(RedisSettings.load(stack.environ))
    yield cache
    await cache.close()


async def settle(connection: Connection, users: int) -> Scene:
    """Make users each of whom has done enough for a vector."""
    scene = await build(connection, users=users)
    for user in scene.users:
        for post in scene.posts[:3]:
            await act(connection, user, post)
    return scene


async def run(stack: Stack) -> None:
    await trigger(stack)
    assert {delivery.status for delivery in await stack.broker.drain()} == {200}


async def assert_forgotten(
    connection: Connection, redis: Redis, users: Sequence[UUID], gone: Sequence[UUID]
) -> None:
    """Hold that some of the users have nothing anywhere, and all others their vectors."""
    assert set(await rows(connection)) == set(users) - set(gone)
    await assert_mirrored(connection, redis)
    tables = ("shadow_vectors", "user_offsets", "user_interests", "exposures", "events", "showings")
    for table in tables:
        statement = f"SELECT count(*) FROM embedding.{table} WHERE user_id = ANY ($1)"  # noqa: S608  # ours
        assert await connection.fetchval(statement, gone) == 0, table


# While a page is in flight


@FORGETTING
@pytest.mark.parametrize("scheme", ["baseline", "recommended"])
async def test_user_forgotten_at_any_statement_of_a_page_stays_forgotten(
    start: Start,
    connection: Connection,
    redis: Redis,
    proxy: Proxy,
    database: Database,
    *,
    scheme: str,
    forget: Forget,
):
    scene = await settle(connection, users=60)
    settings = {"EMBEDDING_SCHEME": scheme, "EMBEDDING_SHADOW": "decay"}
    stack = await start(settings, proxy=proxy)
    await run(stack)
    left, forgetting = list(scene.users), []

    async def forget_one(kind: bytes, _: bytes) -> None:
        if kind in b"QE":
            forgetting.append(asyncio.create_task(forget(database, cache, left.pop())))
            # it waits for the page where the page has begun to write
            await asyncio.wait(forgetting[-1:], timeout=0.2)

    for user in scene.users:
        await act(connection, user, scene.posts[3])
    await trigger(stack)
    await stack.broker.drain(max_deliveries=1)
    async with cached(stack) as cache:
        proxy.on_message = forget_one
        deliveries = await stack.broker.drain()
        proxy.on_message = None
        await asyncio.gather(*forgetting)
    assert {delivery.status for delivery in deliveries} == {200}
    assert len(forgetting) > 10
    assert left, "some users are not forgotten"
    gone = [user for user in scene.users if user not in left]
    await assert_forgotten(connection, redis, scene.users, gone)
    await run(stack)
    await assert_forgotten(connection, redis, scene.users, gone)


WAITING = """
SELECT count(*)
FROM pg_locks
WHERE locktype = 'advisory' AND NOT granted
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


@pytest.mark.parametrize("forget", [erasures.erase, erasures.opt_out])
@pytest.mark.parametrize("scheme", ["baseline", "recommended"])
async def test_page_that_read_while_an_erasure_was_not_committed_writes_nothing_of_it(
    start: Start,
    connection: Connection,
    redis: Redis,
    scheme: str,
    forget: Callable[[Connection, UUID], Awaitable[Erasure]],
):
    """Its time is noted, the page reads without seeing it, it is committed, the page writes."""
    scene = await settle(connection, users=5)
    stack = await start({"EMBEDDING_SCHEME": scheme})
    await trigger(stack)
    await stack.broker.drain(max_deliveries=1)
    gone = scene.users[2]
    async with connection.transaction():
        await forget(connection, gone)
        working = asyncio.create_task(stack.broker.drain())
        async with asyncio.timeout(10):
            while not await connection.fetchval(WAITING):  # noqa: ASYNC110  # it is in Postgres
                await asyncio.sleep(0.01)
    assert {delivery.status for delivery in await working} == {200}
    await assert_forgotten(connection, redis, scene.users, [gone])
    await run(stack)
    await assert_forgotten(connection, redis, scene.users, [gone])


@pytest.mark.parametrize("killed", [False, True], ids=["lives", "killed"])
async def test_vector_read_before_an_erasure_and_cached_after_it_goes_at_once(
    start: Start,
    connection: Connection,
    redis: Redis,
    database: Database,
    killed: bool,  # noqa: FBT001  # a column of the table
):
    scene = await settle(connection, users=5)
    stack = await start()
    gone = scene.users[2]
    came_back = 0

    async def erase_in_between(request: upstash.Request, stage: upstash.Stage) -> None:
        nonlocal came_back
        if request.path != "/pipeline" or came_back:
            return
        if stage is upstash.Stage.ARRIVED:
            await erase_user(database, cache, gone)
        else:
            came_back += await redis.exists(key(gone))
            if killed:
                stack.functions.kill()
                raise upstash.Drop

    async with cached(stack) as cache:
        stack.upstash.on_request = erase_in_between
        await trigger(stack)
        deliveries = await stack.broker.drain()
    assert came_back == 1, "the page wrote the key after the erasure had deleted it"
    assert [delivery.status == 200 for delivery in deliveries].count(False) == killed
    await assert_forgotten(connection, redis, scene.users, [gone])


@FORGETTING
async def test_old_message_brings_nothing_back(
    start: Start, connection: Connection, redis: Redis, database: Database, forget: Forget
):
    """Neither of a finished run nor of one that is under way."""
    scene = await settle(connection, users=12)
    stack = await start({"PAGE_SIZE": "3"})
    await trigger(stack)
    await stack.broker.drain(max_deliveries=3)
    done = [user for user in scene.users if await redis.exists(key(user))]
    undone = [user for user in scene.users if user not in done]
    gone = [*done[:2], *undone[:2], *undone[-2:]]
    async with cached(stack) as cache:
        for user in gone:
            await forget(database, cache, user)
    for _ in range(2):
        stack.broker.clock.jump(601)
        for message in [m.message_id for m in stack.broker.messages if b"page" in m.body]:
            assert (await stack.broker.deliver(message)).status == 200
        await stack.broker.drain()
        await assert_forgotten(connection, redis, scene.users, gone)


# What counts afterwards


async def assert_made_of(connection: Connection, user: UUID, actions: Sequence[int]) -> None:
    """Hold that the user's vector is that of these actions, the first of the log being 0."""
    stored = (await rows(connection))[user]
    log = sorted((await actions_by_user(connection))[user], key=lambda action: action.id)
    wanted = interest_vector(
        [log[place] for place in actions], await usable_embeddings(connection), stored.generated_at
    )
    assert wanted is not None
    assert cosine(stored.embedding, wanted) >= 0.999999


@pytest.mark.parametrize("wish", ["erasure", "objection"])
async def test_only_what_is_done_and_logged_afterwards_makes_a_new_vector(
    start: Start, connection: Connection, redis: Redis, database: Database, wish: str
):
    scene = await build(connection, users=3)
    user = uuid4()
    users = [user, *scene.users]
    others = set(users)
    await connection.execute("INSERT INTO users (id) VALUES ($1)", user)
    now = await connection.fetchval("SELECT clock_timestamp()")
    for post in scene.posts[:5]:
        await act(connection, user, post, at=now - DAY)
    await act(connection, user, scene.posts[5], at=now + HOUR)
    stack = await start()
    await run(stack)
    await assert_made_of(connection, user, range(6))
    others = set(await rows(connection)) - {user}
    async with cached(stack) as cache:
        if wish == "erasure":
            await erase_user(database, cache, user)
        else:
            await opt_out_user(database, cache, user)
            await opt_in_user(database, user)
    for post in scene.posts[6:12]:
        await act(connection, user, post, at=now - DAY)
    for at, post in ((None, 12), (now + HOUR + DAY, 13)):
        await act(connection, user, scene.posts[post], at=at)
        await run(stack)
        assert set(await rows(connection)) == others, "two posts are not enough"
    await act(connection, user, scene.posts[14])
    await run(stack)
    await assert_made_of(connection, user, [12, 13, 14])
    await assert_mirrored(connection, redis)


async def test_who_opted_out_gets_no_vector_by_any_way_until_opting_in(
    start: Start, connection: Connection, redis: Redis, database: Database
):
    scene = await settle(connection, users=5)
    gone = scene.users[2]
    settings = {"ALLOW_DEV_TRIGGER": "1", "EMBEDDING_SHADOW": "decay"}
    stack = await start(settings | {"EMBEDDING_EXPERIMENT": "one:baseline=1,recommended=1"})
    await run(stack)
    async with cached(stack) as cache:
        await opt_out_user(database, cache, gone)
    await assert_forgotten(connection, redis, scene.users, [gone])

    for post in scene.posts:
        await act(connection, gone, post, "share_post")
    await run(stack)
    assert (await counts(connection))["opted_out"] == 1
    await assert_forgotten(connection, redis, scene.users, [gone])

    rebuild = await open_rebuild(connection)
    await make_due(connection, rebuild.id, 100, timedelta(days=90))
    await run(stack)
    assert (await counts(connection))["opted_out"] == 1
    await assert_forgotten(connection, redis, scene.users, [gone])

    async with httpx.AsyncClient(timeout=30) as client:
        answer = await client.get(f"{stack.app_url}/api/actions/batch-process")
    outcomes = {user["id"]: user["outcome"] for user in answer.json()["users"]}
    assert outcomes[str(gone)] == "opted_out"
    await assert_forgotten(connection, redis, scene.users, [gone])

    assert await opt_in_user(database, gone)
    await run(stack)
    await assert_forgotten(connection, redis, scene.users, [gone])
    for post in scene.posts[:3]:
        await act(connection, gone, post)
    await run(stack)
    assert set(await rows(connection)) == set(scene.users)


# When something is missing


@FORGETTING
async def test_user_who_never_was_is_forgotten_without_harm(
    start: Start, connection: Connection, redis: Redis, database: Database, forget: Forget
):
    scene = await settle(connection, users=3)
    stack = await start()
    await run(stack)
    async with cached(stack) as cache:
        for _ in range(2):
            await forget(database, cache, uuid4())
    await run(stack)
    await assert_forgotten(connection, redis, scene.users, [])


@FORGETTING
async def test_erasure_without_redis_holds_in_postgres_and_the_next_run_deletes_the_key(
    start: Start, connection: Connection, redis: Redis, database: Database, forget: Forget
):
    scene = await settle(connection, users=3)
    gone = scene.users[1]
    stack = await start()
    await run(stack)

    async def refuse(_: upstash.Request, __: upstash.Stage) -> None:
        raise upstash.Refuse(500, '{"error": "ERR internal"}')

    stack.upstash.on_request = refuse
    async with cached(stack) as cache:
        for _ in range(2):
            with pytest.raises(Unavailable, match=rf"^{gone} is erased in postgres.*redis: .*ERR"):
                await forget(database, cache, gone)
    stack.upstash.on_request = None
    assert gone not in await rows(connection)
    assert await redis.exists(key(gone))
    await run(stack)
    await assert_forgotten(connection, redis, scene.users, [gone])


async def test_erasure_without_postgres_leaves_redis_alone(
    start: Start, connection: Connection, redis: Redis
):
    scene = await settle(connection, users=1)
    stack = await start()
    await run(stack)
    down = Database(DatabaseSettings("postgresql://postgres@/x?host=/nowhere", pooled=True))
    async with cached(stack) as cache:
        with pytest.raises(Unavailable, match=r"^postgres: "):
            await erase_user(down, cache, scene.users[0])
    await assert_forgotten(connection, redis, scene.users, [])


# What is held


async def test_export_shows_the_vector_with_what_is_beside_it_and_what_redis_holds(
    start: Start, connection: Connection, database: Database
):
    scene = await settle(connection, users=3)
    user = scene.users[1]
    settings = {"EMBEDDING_SHADOW": "decay"}
    stack = await start(settings | {"EMBEDDING_EXPERIMENT": "one:recommended=1,centred=1"})
    await run(stack)
    async with cached(stack) as cache:
        found = await export_user(database, cache, user)
        without = await export_user(database, None, user)
    stored = (await rows(connection))[user]
    held = found.postgres
    assert found.user == user
    assert held.vector is not None
    assert held.vector.embedding is not None
    assert held.vector.embedding.tolist() == stored.embedding
    assert held.vector.model_version == stored.model_version
    assert held.vector.generated_at == stored.generated_at
    assert found.cached is not None
    assert found.cached.tobytes() == held.vector.embedding.astype(np.float32).tobytes()
    assert without.cached is None
    assert held.offset is not None
    assert held.shadow is not None
    assert [one.experiment for one in held.exposures] == ["one"]
    assert (held.failure, held.due, held.work, held.erasure) == (None, (), (), None)


# On the command line


async def call(command: Callable[..., int], *arguments: object) -> int:
    """Run a command, which has an event loop of its own."""
    return await asyncio.to_thread(command, *arguments)


@pytest.fixture(params=["direct", "pooler"])
async def url(
    request: pytest.FixtureRequest, postgres: Postgres, database_url: str
) -> AsyncIterator[str]:
    """Where commands find Postgres."""
    if request.param == "direct":
        yield database_url
    elif installed() is None:
        pytest.skip("pgbouncer is not installed")
    else:
        async with Pooler.start(
            postgres.socket, pool_size=2, server_lifetime=0, user=LOGIN
        ) as pooler:
            yield pooler.url(urlsplit(database_url).path[1:])


async def test_commands_erase_opt_out_opt_in_and_export(
    start: Start,
    connection: Connection,
    redis: Redis,
    url: str,
    capsys: pytest.CaptureFixture[str],
):
    scene = await settle(connection, users=3)
    first, second, third = map(str, scene.users)
    stack = await start()
    await run(stack)
    environ = {
        name: stack.environ[name] for name in ("UPSTASH_REDIS_REST_URL", "UPSTASH_REDIS_REST_TOKEN")
    } | {"DATABASE_URL": url}
    capsys.readouterr()
    assert await call(commands.erase, environ, first) == 0
    assert capsys.readouterr().out.startswith(f"erased {first}: nothing until 20")
    assert await call(commands.opt_out, environ, second) == 0
    assert second in capsys.readouterr().out
    await assert_forgotten(connection, redis, scene.users, scene.users[:2])
    for said in (f"opted in {second}: ", f"{second} had not opted out\n"):
        assert await call(commands.opt_in, environ, second) == 0
        assert capsys.readouterr().out.startswith(said)
    assert await call(commands.export, environ, third) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["user"] == third
    assert len(shown["cached"]) == len(shown["postgres"]["vector"]["embedding"]) == 384
    assert await call(commands.export, environ, second) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["cached"] is shown["postgres"]["vector"] is None
    assert shown["postgres"]["erasure"]["opted_out"] is False
    assert shown["postgres"]["due"] == ["erased", "opted_in", "removed"]


COMMANDS = pytest.mark.parametrize(
    "command", [commands.erase, commands.opt_out, commands.opt_in, commands.export]
)


@COMMANDS
async def test_command_without_a_cache_needs_no_redis(
    connection: Connection, functions_url: str, command: Callable[..., int]
):
    scene = await settle(connection, users=1)
    environ = {"DATABASE_URL": functions_url, "CACHE_MODE": "off"}
    assert CacheSettings.load(environ).redis is None
    assert await call(command, environ, str(scene.users[0])) == 0


@COMMANDS
@pytest.mark.parametrize("user", ["", "7", "everybody", f"{UUID(int=1)}0"])
def test_command_refuses_what_is_no_user_s_id_in_one_line(
    command: Callable[..., int], user: str, capsys: pytest.CaptureFixture[str]
):
    assert command({}, user) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == f"expected a user's id, a UUID, got {user!r}\n"


@COMMANDS
@pytest.mark.parametrize("missing", ["DATABASE_URL", "UPSTASH_REDIS_REST_URL"])
def test_command_names_the_setting_that_is_missing(command: Callable[..., int], missing: str):
    environ = {
        "DATABASE_URL": "postgresql://x/x",
        "UPSTASH_REDIS_REST_URL": "http://127.0.0.1:1",
        "UPSTASH_REDIS_REST_TOKEN": "token",
    }
    del environ[missing]
    with pytest.raises(SettingError, match=missing):
        command(environ, str(UUID(int=1)))


@COMMANDS
def test_command_has_a_line_that_helps(command: Callable[..., int]):
    assert command.__doc__ is not None
    assert len(command.__doc__.splitlines()) == 1
