"""Redis, Postgres or QStash down, slow or refusing: 503, and nothing lost once they are back."""

import asyncio

import pytest
from asyncpg import Connection
from valkey.asyncio import Valkey as Redis

from dev import qstash, upstash
from dev.ageing import age_runs
from dev.proxy import Proxy
from dev.stack import Stack
from dev.valkey import Valkey
from tests.conftest import Start, trigger
from tests.promises import assert_converged, open_work, rows
from tests.scene import build

SMALL = {"PAGE_SIZE": "3"}
HOURS = 3600


def statuses(deliveries: list[qstash.Delivery]) -> set[int | None]:
    return {delivery.status for delivery in deliveries}


@pytest.mark.fault(7)
async def test_redis_stopped_in_mid_run_holds_back_no_other_page(
    start: Start, connection: Connection, redis: Redis, valkey_empty: Valkey
):
    scene = await build(connection)
    stack = await start(SMALL)
    await trigger(stack)
    await stack.broker.drain(max_deliveries=8)
    valkey_empty.stop()
    try:
        deliveries = await stack.broker.drain(limit_seconds=30)
        assert statuses(deliveries) == {503}
        assert {dict(d.response_headers)["retry-after"] for d in deliveries} == {"60"}
        written = await connection.fetchval("SELECT count(*) FROM user_embeddings")
    finally:
        valkey_empty.start()
    assert statuses(await stack.broker.drain()) == {200}
    assert written == await assert_converged(connection, redis, scene.users)
    assert await open_work(connection) == (0, 0)


@pytest.mark.fault(7)
async def test_redis_gone_for_longer_than_all_retries_is_made_good_by_the_next_run(
    start: Start, connection: Connection, redis: Redis, valkey_empty: Valkey
):
    scene = await build(connection, users=30)
    stack = await start(SMALL)
    await trigger(stack)
    await stack.broker.drain(max_deliveries=4)
    valkey_empty.stop()
    try:
        await stack.broker.drain()
    finally:
        valkey_empty.start()
    assert len(stack.broker.dead_letters) == 7
    assert await connection.fetchval("SELECT count(*) FROM embedding.failed_pages") == 7
    _, left = await open_work(connection)
    assert left == 21
    await age_runs(connection, 2 * HOURS)
    await trigger(stack)
    assert statuses(await stack.broker.drain()) == {200}
    await assert_converged(connection, redis, scene.users)
    assert await open_work(connection) == (0, 0)


@pytest.mark.fault(7)
@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(upstash.Refuse(500, '{"error":"internal"}'), id="500"),
        pytest.param(upstash.Refuse(429, '{"error":"slow down"}'), id="429"),
        pytest.param(upstash.Refuse(401, '{"error":"Unauthorized"}'), id="401"),
        pytest.param(upstash.Refuse(200, "<html>proxy</html>", "text/html"), id="no JSON"),
        pytest.param(upstash.Refuse(200, "[]"), id="too few results"),
        pytest.param(upstash.Drop(), id="cut off"),
    ],
)
async def test_redis_that_misbehaves_keeps_its_pages_until_it_is_well(
    start: Start, connection: Connection, redis: Redis, fault: Exception
):
    scene = await build(connection, users=20)
    stack = await start({"PAGE_SIZE": "10"})

    async def misbehave(_: upstash.Request, stage: upstash.Stage) -> None:
        if stage is upstash.Stage.ARRIVED:
            raise fault

    stack.upstash.on_request = misbehave
    await trigger(stack)
    first = await stack.broker.drain(limit_seconds=30)
    assert sorted(d.status for d in first) == [200, 503, 503]
    assert (await open_work(connection))[1] == len(scene.users)
    stack.upstash.on_request = None
    assert statuses(await stack.broker.drain()) == {200}
    await assert_converged(connection, redis, scene.users)


@pytest.mark.fault(7)
@pytest.mark.timeout(200)
async def test_redis_that_hangs_is_given_up_within_its_time_out(
    start: Start, connection: Connection, redis: Redis
):
    scene = await build(connection, users=10)
    stack = await start()
    forever = asyncio.Event()

    async def hang(_: upstash.Request, __: upstash.Stage) -> None:
        await forever.wait()

    stack.upstash.on_request = hang
    await trigger(stack)
    async with asyncio.timeout(100):  # of the 300 that a function has, on a busy machine
        first = await stack.broker.drain(limit_seconds=30)
    assert first[-1].status == 503
    stack.upstash.on_request = None
    forever.set()
    await stack.broker.drain()
    await assert_converged(connection, redis, scene.users)


@pytest.mark.fault(8)
@pytest.mark.parametrize("when", ["down", "cut in mid page"])
async def test_postgres_away_answers_503_and_loses_nothing(
    start: Start,
    connection: Connection,
    redis: Redis,
    proxy: Proxy,
    when: str,
):
    scene = await build(connection, users=30)
    stack = await start(SMALL, proxy=proxy)
    await trigger(stack)
    await stack.broker.drain(max_deliveries=4)

    async def cut(kind: bytes, payload: bytes) -> None:
        if kind == b"P" and b"INSERT INTO user_embeddings" in payload:
            proxy.refuse = True
            raise ConnectionResetError

    if when == "down":
        proxy.refuse = True
        proxy.cut()
    else:
        proxy.on_message = cut
    deliveries = await stack.broker.drain(limit_seconds=30)
    assert statuses(deliveries) == {503}
    assert {dict(d.response_headers)["retry-after"] for d in deliveries} == {"60"}
    proxy.refuse, proxy.on_message = False, None
    assert statuses(await stack.broker.drain()) == {200}
    await assert_converged(connection, redis, scene.users)
    assert await open_work(connection) == (0, 0)


@pytest.mark.fault(8)
async def test_every_backend_terminated_in_mid_run_loses_nothing(
    start: Start, connection: Connection, redis: Redis
):
    scene = await build(connection, users=30)
    stack = await start(SMALL)

    async def terminate(request: upstash.Request, _: upstash.Stage) -> None:
        if request.path == "/pipeline":
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )

    stack.upstash.on_request = terminate
    await trigger(stack)
    await stack.broker.drain(max_deliveries=5)
    stack.upstash.on_request = None
    await stack.broker.drain()
    await assert_converged(connection, redis, scene.users)
    assert await open_work(connection) == (0, 0)


@pytest.mark.fault(10)
@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(qstash.Refuse(500, '{"error":"internal"}'), id="500"),
        pytest.param(qstash.Refuse(429, '{"error":"daily limit"}'), id="429"),
        pytest.param(qstash.Refuse(200, "<html>proxy</html>"), id="no JSON"),
        pytest.param(qstash.Drop(), id="cut off"),
    ],
)
async def test_qstash_that_takes_no_message_answers_503_and_the_chain_goes_on_later(
    start: Start, connection: Connection, redis: Redis, fault: Exception
):
    scene = await build(connection, users=30)
    stack = await start(SMALL)
    await trigger(stack)
    await stack.broker.drain(max_deliveries=4)

    async def refuse(_: qstash.Message, stage: qstash.Stage) -> None:
        if stage is qstash.Stage.ARRIVED:
            raise fault

    stack.broker.on_publish = refuse
    deliveries = await stack.broker.drain(limit_seconds=30)
    assert [(d.status, dict(d.response_headers)["retry-after"]) for d in deliveries] == [
        (503, "60")
    ]
    stack.broker.on_publish = None
    assert statuses(await stack.broker.drain()) == {200}
    await assert_converged(connection, redis, scene.users)
    assert await open_work(connection) == (0, 0)


@pytest.mark.fault(10)
async def test_a_start_message_that_cannot_publish_is_repeated_without_a_second_run(
    start: Start, connection: Connection, redis: Redis
):
    scene = await build(connection, users=30)
    stack = await start(SMALL)
    await trigger(stack)
    await refuse_pages(stack, times=2)
    deliveries = await stack.broker.drain()
    assert [d.status for d in deliveries][:3] == [503, 503, 200]
    assert await connection.fetchval("SELECT count(*) FROM embedding.runs") == 1
    await assert_converged(connection, redis, scene.users)


async def refuse_pages(stack: Stack, times: int) -> None:
    """Refuse the next publishes of a page."""
    left = times

    async def refuse(message: qstash.Message, stage: qstash.Stage) -> None:
        nonlocal left
        if left and stage is qstash.Stage.ARRIVED and b"page" in message.body:
            left -= 1
            raise qstash.Refuse(500, '{"error":"internal"}')

    stack.broker.on_publish = refuse


@pytest.mark.fault(4, 11, 13)
async def test_a_page_given_up_is_passed_over_and_its_users_join_the_next_run(
    start: Start, connection: Connection, redis: Redis, proxy: Proxy
):
    """All its attempts die before they publish: only the failure callback lets the chain go on."""
    scene = await build(connection, users=30)
    stack = await start(SMALL, proxy=proxy)
    victim = b'"page":4'

    async def kill_victim(kind: bytes, payload: bytes) -> None:
        active = [m.body for m in stack.broker.messages if m.state is qstash.State.ACTIVE]
        writing = kind == b"P" and b"INSERT INTO user_embeddings" in payload
        if writing and any(victim in body for body in active):
            stack.functions.kill()
            raise ConnectionResetError

    proxy.on_message = kill_victim
    await trigger(stack)
    await stack.broker.drain()
    assert [victim in letter.message.body for letter in stack.broker.dead_letters] == [True]
    assert await open_work(connection) == (1, 3)
    assert len(await rows(connection)) > 15
    proxy.on_message = None
    await age_runs(connection, 2 * HOURS)
    await trigger(stack)
    await stack.broker.drain()
    await assert_converged(connection, redis, scene.users)
    assert await open_work(connection) == (0, 0)
