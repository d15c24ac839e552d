"""The indexed copy after a run: whatever happens to whoever refreshes it, the next one does."""

import asyncio
import json
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import pytest
from asyncpg import Connection
from valkey.asyncio import Valkey as Redis

from dev import qstash
from dev.postgres import Postgres
from dev.proxy import Proxy
from dev.stack import ROOT, Stack
from lib.batch.neighbours import refresh_neighbours
from lib.privacy import export_user
from lib.settings import DatabaseSettings
from lib.store.database import Database
from tests.conftest import Start, trigger
from tests.promises import assert_converged, rows
from tests.scene import Scene, act, build

ON_PLATFORMS = ["tables", "views"]
SMALL = {"PAGE_SIZE": "20"}


@pytest.fixture
async def scene(connection: Connection, postgres: Postgres, database_url: str) -> Scene:
    """A platform with a copy that has nobody yet."""
    await postgres.apply(urlsplit(database_url).path[1:], ROOT / "db" / "similar.sql")
    return await build(connection)


async def copied(connection: Connection) -> dict[UUID, tuple[str, str]]:
    found = await connection.fetch(
        "SELECT user_id, model_version, embedding::TEXT FROM embedding.user_neighbours"
    )
    return {row[0]: (row[1], row[2]) for row in found}


async def stored(connection: Connection) -> dict[UUID, tuple[str, str]]:
    found = await connection.fetch(
        "SELECT user_id, model_version, embedding::TEXT FROM user_embeddings"
    )
    return {row[0]: (row[1], row[2]) for row in found}


async def run(stack: Stack) -> list[qstash.Delivery]:
    await trigger(stack)
    return await stack.broker.drain()


def neighbours(stack: Stack) -> list[int]:
    """Return how many changes each message copied."""
    lines = [json.loads(line) for line in stack.functions.logs if '"event":"batch"' in line]
    return [line["neighbours"] for line in lines]


@pytest.mark.parametrize("chains", ["1", "3"])
async def test_run_ends_with_a_copy_of_what_it_wrote(
    start: Start, connection: Connection, redis: Redis, scene: Scene, chains: str
):
    stack = await start(SMALL | {"PARALLEL_CHAINS": chains})
    assert {delivery.status for delivery in await run(stack)} == {200}
    made = await assert_converged(connection, redis, scene.users)
    assert await copied(connection) == await stored(connection)
    assert (sum(neighbours(stack)), len([n for n in neighbours(stack) if n])) == (made, 1)
    user = next(iter(await rows(connection)))
    for post in scene.posts:
        await act(connection, user, post)
    await run(stack)
    assert await copied(connection) == await stored(connection)


async def test_platform_without_a_copy_has_nothing_refreshed(start: Start, connection: Connection):
    await build(connection)
    stack = await start(SMALL)
    assert {delivery.status for delivery in await run(stack)} == {200}
    assert set(neighbours(stack)) == {0}


@pytest.mark.parametrize("victim", range(1, 6))
async def test_killed_at_any_statement_of_the_refresh_the_message_comes_again_and_does_it(
    start: Start,
    connection: Connection,
    redis: Redis,
    proxy: Proxy,
    scene: Scene,
    *,
    victim: int,
):
    stack = await start(SMALL, proxy=proxy)
    reached, killed = 0, False

    async def kill(kind: bytes, payload: bytes) -> None:
        nonlocal reached, killed
        if b"user_neighbours" in payload and kind == b"P":
            reached = max(reached, 1)
        if reached and not killed and kind in b"QE":
            reached += 1
            if reached == victim + 1:
                killed = True
                stack.functions.kill()
                raise ConnectionResetError

    proxy.on_message = kill
    deliveries = await run(stack)
    assert killed
    assert len([delivery for delivery in deliveries if delivery.status != 200]) == 1
    await assert_converged(connection, redis, scene.users)
    assert await copied(connection) == await stored(connection)


async def test_refresh_that_fails_sends_nothing_again_and_is_made_up_for_by_the_next_run(
    start: Start, connection: Connection, redis: Redis, proxy: Proxy, scene: Scene
):
    stack = await start(SMALL, proxy=proxy)

    async def cut(kind: bytes, payload: bytes) -> None:
        if kind == b"P" and b"DELETE FROM embedding.neighbours_due" in payload:
            raise ConnectionResetError

    proxy.on_message = cut
    assert {delivery.status for delivery in await run(stack)} == {200}
    await assert_converged(connection, redis, scene.users)
    assert await copied(connection) == {}
    assert any('"event":"neighbours_left"' in line for line in stack.functions.logs)
    proxy.on_message = None
    await act(connection, scene.users[0], scene.posts[0])
    await run(stack)
    assert await copied(connection) == await stored(connection)


async def test_refresh_begins_no_slice_when_its_time_is_up(
    start: Start, connection: Connection, functions_url: str, scene: Scene
):
    stack = await start(SMALL)
    await run(stack)
    made = len(await stored(connection))
    assert 0 < made <= len(scene.users)
    await connection.execute("DELETE FROM embedding.user_neighbours")
    await connection.execute("UPDATE user_embeddings SET updated_at = now()")
    through = await connection.fetchval("SELECT id FROM embedding.runs")
    database = Database(DatabaseSettings(functions_url, pooled=True))
    now = asyncio.get_running_loop().time()
    assert await refresh_neighbours(database, through, now - 1) == 0
    assert await refresh_neighbours(database, uuid4(), now + 60) == 0
    assert await copied(connection) == {}
    assert await refresh_neighbours(database, through, now + 60) == made
    assert await copied(connection) == await stored(connection)
    await database.close()


async def test_export_shows_the_copy_of_a_user_s_vector(
    start: Start, connection: Connection, functions_url: str, scene: Scene
):
    await run(await start(SMALL))
    database = Database(DatabaseSettings(functions_url, pooled=True))
    have = await stored(connection)
    user = next(user for user in scene.users if user in have)
    try:
        held = (await export_user(database, None, user)).postgres
    finally:
        await database.close()
    assert held.vector is not None
    assert held.copy is not None
    assert held.copy.model_version == held.vector.model_version
    assert held.copy.embedding.tolist() == held.vector.embedding.tolist()
