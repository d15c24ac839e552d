"""What QStash says of a page that it gave up: lost, repeated, late, out of order, forged."""

import asyncio
import time
from datetime import timedelta

import httpx
import pytest
from asyncpg import Connection
from valkey.asyncio import Valkey as Redis

from dev import qstash
from dev.ageing import age_runs
from dev.proxy import Proxy
from dev.qstash.signature import sign
from dev.stack import Stack
from schedule import main
from tests.conftest import Start, trigger
from tests.promises import open_work, rows
from tests.scene import Scene, build
from tests.tally import Tally

SMALL = {"PAGE_SIZE": "3"}
VICTIM = b'"page":4'
FAILED = "/api/actions/batch-failed"
HOURS = timedelta(hours=1).total_seconds()

pytestmark = [pytest.mark.fault(13), pytest.mark.timeout(240)]


async def give_up(
    start: Start, connection: Connection, proxy: Proxy, *, reports: bool
) -> tuple[Stack, Scene]:
    """Run until a page is given up, every attempt killed as it writes.

    Unless `reports`, each attempt at telling of it is killed, too.
    """
    scene = await build(connection, users=30)
    stack = await start(SMALL, proxy=proxy)

    async def kill(kind: bytes, payload: bytes) -> None:
        if kind != b"P":
            return
        active = [m.body for m in stack.broker.messages if m.state is qstash.State.ACTIVE]
        page = b"INSERT INTO user_embeddings" in payload and any(VICTIM in body for body in active)
        if page or (b"INSERT INTO embedding.failed_pages" in payload and not reports):
            stack.functions.kill()
            raise ConnectionResetError

    proxy.on_message = kill
    await trigger(stack)
    await stack.broker.drain()
    proxy.on_message = None
    return stack, scene


def dead(stack: Stack) -> list[str]:
    return [letter.message.url.rpartition("/")[2] for letter in stack.broker.dead_letters]


@pytest.mark.fault(1)
async def test_report_that_is_lost_costs_nothing_that_the_next_run_does_not_do(
    start: Start, connection: Connection, redis: Redis, proxy: Proxy, tally: Tally
):
    stack, scene = await give_up(start, connection, proxy, reports=False)
    assert dead(stack) == ["batch-process", "batch-failed"]
    assert len(await rows(connection)) < 20
    await age_runs(connection, 2 * HOURS)
    await trigger(stack)
    await stack.broker.drain()
    await tally.converged(connection, redis, scene.users)
    assert await open_work(connection) == (0, 0)


async def test_what_was_given_up_goes_on_once_it_is_sent_again_from_the_command_line(
    start: Start,
    connection: Connection,
    redis: Redis,
    proxy: Proxy,
    tally: Tally,
):
    stack, scene = await give_up(start, connection, proxy, reports=False)
    [page, report] = stack.broker.dead_letters
    assert await asyncio.to_thread(main, ["dlq-retry", report.dlq_id], stack.environ) == 0
    await stack.broker.drain()
    assert stack.broker.dead_letters == [page]
    assert await open_work(connection) == (1, 3)
    assert await asyncio.to_thread(main, ["dlq-retry"], stack.environ) == 0
    await stack.broker.drain()
    assert stack.broker.dead_letters == []
    await tally.converged(connection, redis, scene.users)
    assert await open_work(connection) == (0, 0)


@pytest.mark.fault(1, 2)
async def test_report_repeated_late_and_after_its_page_was_done_changes_nothing(
    start: Start, connection: Connection, redis: Redis, proxy: Proxy, tally: Tally
):
    stack, scene = await give_up(start, connection, proxy, reports=True)
    [report] = [m for m in stack.broker.messages if m.url.endswith(FAILED)]
    [page] = [letter.message for letter in stack.broker.dead_letters]
    before = len(stack.broker.messages)
    for _ in range(5):  # at once again, in mid run
        assert (await stack.broker.deliver(report.message_id)).status == 200
        tally.tried += 1
    await stack.broker.drain()
    assert len(stack.broker.messages) == before, "a page was published twice"
    assert (await stack.broker.deliver(page.message_id)).status == 200  # a retry that overtook it
    assert (await stack.broker.deliver(report.message_id)).status == 200
    await stack.broker.drain()
    await age_runs(connection, 2 * HOURS)
    await trigger(stack)
    await stack.broker.drain()
    stored = await rows(connection)
    for _ in range(5):  # a day late, when another run is over
        assert (await stack.broker.deliver(report.message_id)).status == 200
        tally.tried += 1
    await stack.broker.drain()
    assert await rows(connection) == stored
    await tally.converged(connection, redis, scene.users)
    assert await open_work(connection) == (0, 0)
    assert await connection.fetchval("SELECT count(*) FROM embedding.failed_pages") == 1


@pytest.mark.fault(18)
async def test_report_that_is_forged_passes_nothing_over(
    start: Start, connection: Connection, proxy: Proxy, tally: Tally
):
    stack, _ = await give_up(start, connection, proxy, reports=True)
    [report] = [m for m in stack.broker.messages if m.url.endswith(FAILED)]
    await connection.execute("DELETE FROM embedding.failed_pages")
    before, opened = len(stack.broker.messages), proxy.connections
    keys, now = stack.broker.keys, time.time()
    process = stack.app_url + "/api/actions/batch-process"
    forged = [
        None,
        "..",
        sign(report.url, report.body, "x" * 32, now),
        sign(report.url, report.body + b" ", keys.current, now),
        sign(process, report.body, keys.current, now),
        sign(report.url, report.body, keys.current, now - 400),
    ]
    stack.functions.kill()  # with it go the connections that it had
    async with httpx.AsyncClient() as http:
        for token in forged:
            headers = {} if token is None else {"Upstash-Signature": token}
            answer = await http.post(report.url, content=report.body, headers=headers)
            assert answer.status_code == 401
            tally.tried += 1
    assert proxy.connections == opened
    assert len(stack.broker.messages) == before
    assert await connection.fetchval("SELECT count(*) FROM embedding.failed_pages") == 0


@pytest.mark.fault(19)
async def test_page_replayed_a_hundred_times_publishes_its_successor_once(
    start: Start, connection: Connection, redis: Redis, tally: Tally
):
    scene = await build(connection, users=20)
    stack = await start(SMALL)
    await trigger(stack)
    await stack.broker.drain(max_deliveries=3)
    page = next(m for m in stack.broker.messages if b'"page":0' in m.body)
    [successor] = [m for m in stack.broker.messages if b'"page":1' in m.body]
    for _ in range(100):
        assert (await stack.broker.deliver(page.message_id)).status == 200
        tally.tried += 1
    assert [m for m in stack.broker.messages if b'"page":1' in m.body] == [successor]
    await stack.broker.drain()
    stored = await rows(connection)
    await stack.broker.deliver(page.message_id)
    assert await rows(connection) == stored
    await tally.converged(connection, redis, scene.users)
