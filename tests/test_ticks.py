"""Ticks: whom a run finds, whatever came late, hung or never came."""

import asyncio
from datetime import UTC, datetime, timedelta

import asyncpg
import numpy as np
import pytest
from asyncpg import Connection
from valkey.asyncio import Valkey as Redis

from dev.ageing import age_runs
from dev.qstash import Delivery
from dev.stack import Stack
from tests.conftest import Start, trigger
from tests.promises import assert_converged, open_work, rows
from tests.scene import act, build, connect, embed

HOURS = 3600

ON_PLATFORMS = ["tables", "views"]


async def run(stack: Stack) -> list[Delivery]:
    """Trigger and work off whatever follows."""
    await trigger(stack)
    return await stack.broker.drain()


async def test_the_second_run_takes_only_who_was_active_since(
    start: Start, connection: Connection, redis: Redis
):
    scene = await build(connection)
    stack = await start({"PAGE_SIZE": "100", "WINDOW_OVERLAP_SECONDS": "0"})
    await run(stack)
    for post in scene.posts[:3]:
        await act(connection, scene.users[0], post)
    await run(stack)
    planned = await connection.fetch("SELECT users FROM embedding.runs ORDER BY number")
    assert [row["users"] for row in planned] == [60, 1]
    await assert_converged(connection, redis, scene.users)


@pytest.mark.fault(10)
async def test_ticks_missed_for_six_hours_lose_nobody(
    start: Start, connection: Connection, redis: Redis
):
    scene = await build(connection)
    stack = await start({"PAGE_SIZE": "20", "WINDOW_OVERLAP_SECONDS": "0"})
    await run(stack)
    await age_runs(connection, 6 * HOURS)
    now = datetime.now(UTC)
    for number, user in enumerate(scene.users):
        at = now - timedelta(hours=6) + timedelta(minutes=5 * number)
        await act(connection, user, scene.posts[number % 40], "share_post", at)
    stack.broker.clock.jump(6 * HOURS)
    await run(stack)
    assert await connection.fetchval("SELECT users FROM embedding.runs WHERE number = 2") == 60
    await assert_converged(connection, redis, scene.users)


@pytest.mark.fault(10)
async def test_a_run_that_hangs_is_absorbed_and_its_users_are_done(
    start: Start, connection: Connection, redis: Redis
):
    """Its messages are lost while ticks go on; after 15 minutes a tick takes its users over."""
    scene = await build(connection)
    stack = await start({"PAGE_SIZE": "3", "PARALLEL_CHAINS": "2", "WINDOW_OVERLAP_SECONDS": "0"})
    await trigger(stack)
    await stack.broker.drain(max_deliveries=5)
    for message in stack.broker.pending():
        stack.broker.ledger.cancel(message)
    assert await connection.fetchval("SELECT count(*) FROM embedding.run_users") > 40
    await age_runs(connection, 16 * 60)
    stack.broker.clock.jump(16 * 60)
    await run(stack)
    ended = await connection.fetch("SELECT absorbed FROM embedding.runs ORDER BY number")
    assert [row["absorbed"] for row in ended] == [True, False]
    await assert_converged(connection, redis, scene.users)
    assert await open_work(connection) == (0, 0)


@pytest.mark.fault(2)
async def test_messages_of_an_absorbed_run_do_nothing(
    start: Start, connection: Connection, redis: Redis
):
    scene = await build(connection)
    stack = await start({"PAGE_SIZE": "10"})
    await trigger(stack)
    await stack.broker.drain(max_deliveries=3)
    [orphan] = stack.broker.pending()
    await age_runs(connection, 2 * HOURS)
    second = await trigger(stack)
    assert b'"status":"planned"' in (await stack.broker.deliver(second)).response_body
    answer = await stack.broker.deliver(orphan.message_id)
    assert b'"status":"closed"' in answer.response_body
    await stack.broker.drain()
    await assert_converged(connection, redis, scene.users)
    assert await open_work(connection) == (0, 0)


@pytest.mark.fault(3)
async def test_a_page_in_flight_while_its_run_is_absorbed_harms_nothing(
    start: Start, connection: Connection, redis: Redis
):
    scene = await build(connection)
    stack = await start({"PAGE_SIZE": "60"})
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def hold(*_: object) -> None:
        reached.set()
        await go_on.wait()

    await trigger(stack)
    await stack.broker.drain(max_deliveries=1)
    [page] = stack.broker.pending()
    stack.upstash.on_request = hold
    in_flight = asyncio.create_task(stack.broker.deliver(page.message_id))
    await reached.wait()
    stack.upstash.on_request = None
    await age_runs(connection, 2 * HOURS)
    await stack.broker.deliver(await trigger(stack))
    go_on.set()
    assert (await in_flight).status == 200
    assert (await open_work(connection))[1] == 60, "the new run's list is whole"
    await stack.broker.drain()
    await assert_converged(connection, redis, scene.users)
    assert await open_work(connection) == (0, 0)


@pytest.mark.fault(17)
async def test_a_post_embedded_an_hour_after_it_was_liked_reaches_the_vector(
    start: Start, connection: Connection, redis: Redis
):
    scene = await build(connection, users=5)
    stack = await start({"WINDOW_OVERLAP_SECONDS": "0"})
    fresh = await connection.fetchval("INSERT INTO posts DEFAULT VALUES RETURNING id")
    for post in (*scene.posts[:3], fresh):
        await act(connection, scene.users[0], post)
    await run(stack)
    before = (await rows(connection))[scene.users[0]]
    await age_runs(connection, HOURS)
    await embed(connection, fresh, np.random.default_rng(5).normal(size=384))
    await connection.execute("UPDATE action_log SET created_at = created_at - interval '1 hour'")
    await run(stack)
    after = (await rows(connection))[scene.users[0]]
    assert after.generated_at > before.generated_at
    assert after.embedding != before.embedding
    await assert_converged(connection, redis, scene.users)
    assert await connection.fetchval("SELECT count(*) FROM embedding.due") == 0


@pytest.mark.fault(16)
async def test_a_post_that_was_deleted_is_not_waited_for(start: Start, connection: Connection):
    scene = await build(connection, users=5)
    stack = await start()
    for user in scene.users:
        await act(connection, user, scene.posts[0])
    await connection.execute("DELETE FROM posts WHERE id = $1", scene.posts[0])
    await run(stack)
    assert await connection.fetchval("SELECT count(*) FROM embedding.due") == 0


@pytest.mark.fault(15)
async def test_an_action_committed_late_is_found_by_the_next_run(
    start: Start, connection: Connection, redis: Redis, database_url: str
):
    scene = await build(connection)
    stack = await start({"PAGE_SIZE": "100"})
    writer = await connect(database_url)
    slow = writer.transaction()
    await slow.start()
    for post in scene.posts[:4]:
        await act(writer, scene.users[0], post, "share_post")
    await run(stack)
    await slow.commit()
    await writer.close()
    await run(stack)
    await assert_converged(connection, redis, scene.users)


@pytest.mark.fault(14)
async def test_a_database_clock_that_was_ahead_loses_no_action(
    start: Start, connection: Connection, redis: Redis
):
    """The server before the failover was an hour ahead: the last window ends in the future."""
    scene = await build(connection)
    stack = await start({"PAGE_SIZE": "100", "WINDOW_OVERLAP_SECONDS": "0"})
    await run(stack)
    await age_runs(connection, -HOURS)
    for user in scene.users[:2]:
        for post in scene.posts[:4]:
            await act(connection, user, post, "share_post")
        await run(stack)
    await assert_converged(connection, redis, scene.users)


async def test_a_retraction_under_the_minimum_remakes_and_then_removes_the_vector(
    start: Start, connection: Connection, redis: Redis
):
    scene = await build(connection, users=0)
    user = await connection.fetchval("INSERT INTO users DEFAULT VALUES RETURNING id")
    stack = await start({"WINDOW_OVERLAP_SECONDS": "0"})
    for post in scene.posts[:3]:
        await act(connection, user, post, "like_post")
    await run(stack)
    first = (await rows(connection))[user]
    await act(connection, user, scene.posts[0], "unlike_post")
    await run(stack)
    second = (await rows(connection))[user]
    assert second.embedding != first.embedding
    await act(connection, user, scene.posts[1], "unlike_post")
    await act(connection, user, scene.posts[2], "unlike_post")
    await run(stack)
    assert await rows(connection) == {}
    assert await redis.keys("*") == []


@pytest.mark.fault(3)
async def test_two_ticks_at_once_plan_one_run(
    start: Start, connection: asyncpg.Connection, redis: Redis
):
    scene = await build(connection)
    stack = await start({"PAGE_SIZE": "10", "PARALLEL_CHAINS": "2"})
    await asyncio.gather(*(trigger(stack) for _ in range(4)))
    assert {delivery.status for delivery in await stack.broker.drain()} == {200}
    unfinished, left = await open_work(connection)
    assert (unfinished, left) == (0, 0)
    first = await connection.fetchrow("SELECT * FROM embedding.runs ORDER BY number LIMIT 1")
    assert first["users"] == 60
    await assert_converged(connection, redis, scene.users)
