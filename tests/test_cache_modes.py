"""CACHE_MODE: Postgres is right whatever becomes of Redis, and Redis is left as the mode says."""

import json
from collections import Counter
from collections.abc import Sequence
from uuid import UUID, uuid4

import httpx
import pytest
from asyncpg import Connection
from valkey.asyncio import Valkey as Redis

from dev import upstash
from dev.stack import Stack
from lib.cache import TTL_SECONDS, key
from tests.conftest import Start, trigger
from tests.promises import assert_converged, assert_mirrored, open_work, rows
from tests.scene import act, build

MODES = ("write", "invalidate", "off")
STALE = json.dumps([0.0] * 384).encode()
PAGE_SIZE = 20


def settings(mode: str) -> dict[str, str]:
    """Return the settings of a mode; off is not told where Redis is."""
    redis = {"UPSTASH_REDIS_REST_URL": ""} if mode == "off" else {}
    return {"CACHE_MODE": mode, "PAGE_SIZE": str(PAGE_SIZE), **redis}


async def make_stale(redis: Redis, users: Sequence[UUID]) -> None:
    """Write to Redis what an earlier run could have left there."""
    await redis.mset({key(user): STALE for user in users})


async def run(stack: Stack) -> list[int | None]:
    """Trigger, work everything off, and return the answers."""
    await trigger(stack)
    return [delivery.status for delivery in await stack.broker.drain()]


async def assert_stored(connection: Connection, redis: Redis, users: Sequence[UUID]) -> int:
    """Hold P1 for Postgres, once readers have filled Redis; return how many have a vector."""
    await redis.flushall()
    for user, row in (await rows(connection)).items():
        await redis.set(key(user), json.dumps(row.embedding), ex=TTL_SECONDS)
    return await assert_converged(connection, redis, users)


def commands(stack: Stack) -> Counter[str]:
    """Return how many commands of each name came to Redis."""
    return Counter(command[0] for asked in stack.upstash.requests for command in asked.commands)


@pytest.mark.parametrize("mode", MODES)
async def test_run_leaves_in_redis_what_the_mode_says(
    start: Start, connection: Connection, redis: Redis, mode: str
):
    scene = await build(connection)
    gone, idle = uuid4(), uuid4()
    for post in scene.posts[:5]:
        await act(connection, gone, post)
    processed = (*scene.users, gone)
    await make_stale(redis, (*processed, idle))
    stack = await start(settings(mode))
    assert set(await run(stack)) == {200}
    assert await open_work(connection) == (0, 0)

    stored, sent = await rows(connection), commands(stack)
    assert await redis.get(key(idle)) == STALE
    await redis.delete(key(idle))
    match mode:
        case "write":
            await assert_mirrored(connection, redis)
            assert sent["SET"] == len(stored)
        case "invalidate":
            assert await redis.keys() == []
            assert sent == {"DEL": -(-len(processed) // PAGE_SIZE)}
        case "off":
            assert {await redis.get(key(user)) for user in processed} == {STALE}
            assert stack.upstash.requests == []
    assert 0 < await assert_stored(connection, redis, processed) == len(stored)


@pytest.mark.fault(7)
@pytest.mark.parametrize("mode", ["write", "invalidate"])
async def test_redis_out_of_reach_keeps_its_pages_until_it_is_back(
    start: Start, connection: Connection, redis: Redis, mode: str
):
    scene = await build(connection)
    await make_stale(redis, scene.users)
    stack = await start(settings(mode))

    async def cut(_: upstash.Request, stage: upstash.Stage) -> None:
        if stage is upstash.Stage.ARRIVED:
            raise upstash.Drop

    stack.upstash.on_request = cut
    await trigger(stack)
    first = await stack.broker.drain(limit_seconds=30)
    assert sorted(delivery.status for delivery in first) == [200, 503, 503, 503]
    assert await open_work(connection) == (1, len(scene.users))
    assert len(await redis.keys()) == len(scene.users)
    stack.upstash.on_request = None
    assert {delivery.status for delivery in await stack.broker.drain()} == {200}
    assert await open_work(connection) == (0, 0)
    if mode == "write":
        await assert_mirrored(connection, redis)
    else:
        assert await redis.keys() == []
    assert await assert_stored(connection, redis, scene.users) > 0


@pytest.mark.fault(7)
async def test_cache_that_is_off_does_not_notice_that_redis_is_gone(
    start: Start, connection: Connection, redis: Redis
):
    scene = await build(connection)
    # discard, by name: nobody listens there
    stack = await start(settings("off") | {"UPSTASH_REDIS_REST_URL": "http://127.0.0.1:9"})
    assert set(await run(stack)) == {200}
    assert await open_work(connection) == (0, 0)
    assert await assert_stored(connection, redis, scene.users) > 0


async def test_older_vector_that_a_reader_fills_in_before_the_invalidation_does_not_stay(
    start: Start, connection: Connection, redis: Redis
):
    """By the time of the DEL Postgres has the vectors: whoever reads later reads the new one."""
    scene = await build(connection)
    stack = await start(settings("invalidate"))
    committed: set[UUID] = set()

    async def fill(request: upstash.Request, stage: upstash.Stage) -> None:
        if stage is upstash.Stage.ARRIVED:
            [[_, *names]] = request.commands
            users = [user for user in scene.users if key(user) in names]
            committed.update(set(await rows(connection)) & set(users))
            await make_stale(redis, users)

    stack.upstash.on_request = fill
    assert set(await run(stack)) == {200}
    assert await redis.keys() == []
    assert committed == set(await rows(connection))
    assert await assert_stored(connection, redis, scene.users) > 0


@pytest.mark.parametrize("mode", MODES)
async def test_preview_says_cached_of_what_it_has_written_to_redis(
    start: Start, connection: Connection, redis: Redis, mode: str
):
    await build(connection, users=10)
    stack = await start(settings(mode) | {"ALLOW_DEV_TRIGGER": "1"})
    async with httpx.AsyncClient() as http:
        answer = await http.get(f"{stack.app_url}/api/actions/batch-process", timeout=30)
    shown = answer.json()["users"]
    assert len(shown) == 10
    cached = {UUID(user["id"]) for user in shown if user["cached"]}
    assert {key(user).encode() for user in cached} == set(await redis.keys())
    assert cached == (set(await rows(connection)) if mode == "write" else set())
