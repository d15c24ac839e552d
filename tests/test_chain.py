"""Whole runs through the stand-ins and the real runtime: however delivered, the same table."""

import asyncio
from contextlib import suppress
from random import Random

import pytest
from asyncpg import Connection
from valkey.asyncio import Valkey as Redis

from dev.proxy import Proxy
from dev.stack import Stack
from tests.conftest import Start, trigger
from tests.promises import assert_converged, counts, open_work, rows
from tests.scene import act, build

SMALL = {"PAGE_SIZE": "3"}
PAGES = 20


async def test_a_chain_of_twenty_pages_gives_every_user_the_reference_s_vector(
    start: Start, connection: Connection, redis: Redis
):
    scene = await build(connection)
    stack = await start(SMALL)
    await trigger(stack)
    deliveries = await stack.broker.drain()
    assert [delivery.status for delivery in deliveries] == [200] * (1 + PAGES)
    vectors = await assert_converged(connection, redis, scene.users)
    assert await open_work(connection) == (0, 0)
    counted = await counts(connection)
    assert counted["processed"] == vectors
    assert counted["processed"] + counted["few_posts"] == len(scene.users)
    assert counted["unknown_actions"] == await connection.fetchval(
        "SELECT count(*) FROM action_log WHERE action_type = 'report_post'"
    )


@pytest.mark.fault(1)
async def test_each_message_delivered_twice_gives_the_same_table(
    start: Start, connection: Connection, redis: Redis
):
    scene = await build(connection)
    stack = await start(SMALL)
    stack.broker.copies = 2
    await trigger(stack)
    deliveries = await stack.broker.drain()
    assert {delivery.status for delivery in deliveries} == {200}
    vectors = await assert_converged(connection, redis, scene.users)
    assert await open_work(connection) == (0, 0)
    counted = await counts(connection)
    assert counted["processed"] <= vectors
    await assert_messages_are_bounded(stack, connection)


@pytest.mark.fault(1, 2)
async def test_four_chains_out_of_order_and_doubled_give_the_same_table(
    start: Start, connection: Connection, redis: Redis
):
    scene = await build(connection)
    stack = await start(SMALL | {"PARALLEL_CHAINS": "4"})
    stack.broker.copies = 2
    stack.broker.shuffle = Random(11)
    await trigger(stack)
    deliveries = await stack.broker.drain()
    assert {delivery.status for delivery in deliveries} == {200}
    await assert_converged(connection, redis, scene.users)
    assert await open_work(connection) == (0, 0)
    await assert_messages_are_bounded(stack, connection)


@pytest.mark.fault(2)
async def test_old_messages_after_deduplication_change_nothing(
    start: Start, connection: Connection, redis: Redis
):
    scene = await build(connection)
    stack = await start(SMALL)
    await trigger(stack)
    await stack.broker.drain()
    before = await rows(connection)
    old = [m.message_id for m in stack.broker.messages if b"page" in m.body]
    stack.broker.clock.jump(601)
    for message in reversed(old):
        again = await stack.broker.deliver(message)
        assert again.status == 200
        assert b'"status":"closed"' in again.response_body
    assert stack.broker.pending() == []
    assert await rows(connection) == before
    await assert_converged(connection, redis, scene.users)


@pytest.mark.fault(2)
async def test_an_old_message_in_mid_run_forks_no_chain_that_outlives_the_run(
    start: Start, connection: Connection, redis: Redis
):
    scene = await build(connection)
    stack = await start(SMALL)
    await trigger(stack)
    await stack.broker.drain(max_deliveries=10)
    stack.broker.clock.jump(601)
    first_pages = [m.message_id for m in stack.broker.messages[1:4]]
    for message in first_pages:
        assert (await stack.broker.deliver(message)).status == 200
    await stack.broker.drain()
    await assert_converged(connection, redis, scene.users)
    assert await open_work(connection) == (0, 0)
    published = [m.body for m in stack.broker.messages]
    assert max(published.count(body) for body in published) <= 2


@pytest.mark.fault(3)
async def test_two_chains_that_close_their_last_pages_at_once_finish_the_run(
    start: Start, connection: Connection, redis: Redis, proxy: Proxy
):
    """Each waits for the other to have struck its user off, if that can happen at all.

    One user is processed and one has too few posts, so that the counts do not serialise them.
    """
    scene = await build(connection, users=0)
    found = await connection.fetch("INSERT INTO users VALUES (DEFAULT), (DEFAULT) RETURNING id")
    busy, idle = (row["id"] for row in found)
    for post in scene.posts[:5]:
        await act(connection, busy, post)
    await act(connection, idle, scene.posts[0])
    stack = await start({"PAGE_SIZE": "1", "PARALLEL_CHAINS": "2"}, proxy=proxy)
    struck, both = 0, asyncio.Event()

    async def wait_for_the_other(kind: bytes, payload: bytes) -> None:
        nonlocal struck
        if kind == b"P" and b"progressed_at = clock_timestamp()" in payload:
            struck += 1
            if struck == 2:
                both.set()
            with suppress(TimeoutError):
                await asyncio.wait_for(both.wait(), 1.0)

    proxy.on_message = wait_for_the_other
    await trigger(stack)
    deliveries = await stack.broker.drain()
    assert [delivery.status for delivery in deliveries] == [200] * 3
    assert await assert_converged(connection, redis, (busy, idle)) == 1
    assert await open_work(connection) == (0, 0)


@pytest.mark.fault(3)
async def test_a_trigger_while_a_run_is_in_progress_plans_nothing_and_loses_nothing(
    start: Start, connection: Connection, redis: Redis
):
    scene = await build(connection)
    stack = await start(SMALL)
    await trigger(stack)
    await stack.broker.drain(max_deliveries=5)
    second = await trigger(stack)
    answer = await stack.broker.deliver(second)
    assert b'"status":"in_progress"' in answer.response_body
    await stack.broker.drain()
    assert await connection.fetchval("SELECT count(*) FROM embedding.runs") == 1
    await assert_converged(connection, redis, scene.users)
    assert await open_work(connection) == (0, 0)


@pytest.mark.fault(10)
async def test_a_chain_whose_message_was_lost_is_revived_by_the_next_trigger(
    start: Start, connection: Connection, redis: Redis
):
    scene = await build(connection)
    stack = await start(SMALL)
    await trigger(stack)
    await stack.broker.drain(max_deliveries=5)
    lose_pending(stack)
    stack.broker.clock.jump(601)
    await trigger(stack)
    await stack.broker.drain()
    assert await connection.fetchval("SELECT count(*) FROM embedding.runs") == 1
    await assert_converged(connection, redis, scene.users)


async def test_a_page_whose_users_left_the_list_passes_the_chain_on(
    start: Start, connection: Connection, redis: Redis
):
    scene = await build(connection)
    stack = await start(SMALL)
    await trigger(stack)
    await stack.broker.drain(max_deliveries=3)
    left = await connection.fetch(
        "DELETE FROM embedding.run_users WHERE page IN (2, 3) RETURNING user_id"
    )
    deliveries = await stack.broker.drain()
    assert len(deliveries) == PAGES - 3
    assert await open_work(connection) == (0, 0)
    others = set(scene.users) - {row["user_id"] for row in left}
    await assert_converged(connection, redis, tuple(others))


async def test_a_run_without_users_is_finished_at_once(start: Start, connection: Connection):
    stack = await start()
    answer = await stack.broker.deliver(await trigger(stack))
    assert b'"status":"nothing_due"' in answer.response_body
    assert stack.broker.pending() == []
    assert await open_work(connection) == (0, 0)


def lose_pending(stack: Stack) -> None:
    """Make QStash forget what it has not delivered yet."""
    for message in stack.broker.pending():
        stack.broker.ledger.cancel(message)


async def assert_messages_are_bounded(stack: Stack, connection: Connection) -> None:
    """Hold P5: one message a page, however often each was delivered."""
    pages = await connection.fetchval("SELECT sum(pages) FROM embedding.runs")
    page_messages = [m for m in stack.broker.messages if b"page" in m.body]
    assert len(page_messages) <= pages
