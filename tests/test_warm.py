"""Post vectors that a function has at hand: only those that the database still vouches for."""

from dataclasses import replace

import pytest
from asyncpg import Connection
from valkey.asyncio import Valkey as Redis

from lib.batch import Services, start_run, work_page
from lib.embedding import DIMENSIONS
from lib.embedding.warm import WarmVectors
from lib.qstash.message import Page
from tests.conftest import Start, trigger
from tests.promises import assert_converged
from tests.scene import build

ALL_DUE = "INSERT INTO embedding.due SELECT id, 'rebuild' FROM users"


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(
            "UPDATE post_embeddings SET updated_at = clock_timestamp(), embedding = ("
            " SELECT e.embedding FROM post_embeddings e"
            " WHERE e.post_id <> post_embeddings.post_id ORDER BY e.post_id LIMIT 1)",
            id="embedded anew",
        ),
        pytest.param(
            "DELETE FROM post_embeddings WHERE post_id IN ("
            " SELECT post_id FROM post_embeddings ORDER BY post_id LIMIT 15)",
            id="embedding gone",
        ),
        pytest.param(
            "UPDATE post_embeddings SET model_version = 'another' WHERE post_id IN ("
            " SELECT post_id FROM post_embeddings ORDER BY post_id LIMIT 15)",
            id="of another model now",
        ),
        pytest.param(
            "DELETE FROM posts WHERE id IN (SELECT id FROM posts ORDER BY id LIMIT 15)",
            id="post gone",
        ),
    ],
)
async def test_warm_function_makes_of_changed_posts_what_a_cold_one_does(
    start: Start, connection: Connection, redis: Redis, change: str
):
    scene = await build(connection)
    stack = await start()
    await trigger(stack)
    await stack.broker.drain()
    await assert_converged(connection, redis, scene.users)
    await connection.execute(change)
    # Whoever has too few posts left would keep the row there is.
    await connection.execute("DELETE FROM user_embeddings")
    await redis.flushall()
    await connection.execute(ALL_DUE)
    stack.broker.clock.jump(7200)
    await trigger(stack)
    deliveries = await stack.broker.drain()
    assert [delivery.status for delivery in deliveries] == [200, 200]
    assert stack.functions.starts == 1, "it was warm"
    await assert_converged(connection, redis, scene.users)


@pytest.mark.parametrize("room", [15, 25])
async def test_slice_with_more_posts_than_there_is_room_for_comes_out_the_same(
    start: Start, connection: Connection, redis: Redis, room: int
):
    scene = await build(connection)
    stack = await start()
    services = Services.load(stack.environ)
    services = replace(services, warm=WarmVectors(room, DIMENSIONS))
    try:
        for _ in range(2):
            await connection.execute(ALL_DUE + " ON CONFLICT DO NOTHING")
            plan = await start_run(services)
            progress = await work_page(services, Page(plan.run.id, 0), stop_at=float("inf"))
            assert progress.trouble is None
            await assert_converged(connection, redis, scene.users)
    finally:
        await services.close()
    assert services.warm.missed > 2 * room, "vectors had to make room"
