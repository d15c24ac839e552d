"""The function killed with SIGKILL between any two of its outside effects: nothing is lost."""

import random
from collections.abc import Callable

import pytest
from asyncpg import Connection
from valkey.asyncio import Valkey as Redis

from dev import qstash, upstash
from dev.proxy import Proxy
from dev.stack import Stack
from tests.conftest import Start, trigger
from tests.promises import open_work
from tests.scene import build
from tests.tally import Tally

PAGES = 20
SMALL = {"PAGE_SIZE": "3"}


async def run_to_the_end(  # noqa: PLR0917  # fixtures
    stack: Stack, connection: Connection, redis: Redis, users: tuple, kills: int, tally: Tally
) -> None:
    """Trigger, deliver everything, and hold that all came out well after so many kills."""
    await trigger(stack)
    deliveries = await stack.broker.drain()
    failed = [delivery for delivery in deliveries if delivery.status != 200]
    assert stack.functions.starts == kills + 1
    # A page that has published its successor may still be at work beside it, and dies with it.
    assert kills <= len(failed) <= 2 * kills
    assert stack.broker.dead_letters == []
    tally.tried += kills
    await tally.converged(connection, redis, users)
    assert await open_work(connection) == (0, 0)
    assert len([m for m in stack.broker.messages if b"page" in m.body]) == PAGES


@pytest.mark.fault(4, 5, 11)
@pytest.mark.timeout(1200)
async def test_killed_before_each_statement_of_a_page(
    start: Start, connection: Connection, redis: Redis, proxy: Proxy, tally: Tally
):
    scene = await build(connection)
    stack = await start(SMALL, proxy=proxy)
    seen, victim, killed = 0, 0, 0

    async def kill_at_victim(kind: bytes, _: bytes) -> None:
        nonlocal seen, killed
        if kind in b"QE":
            seen += 1
            if seen == victim:
                killed += 1
                stack.functions.kill()
                raise ConnectionResetError

    async def next_victim(delivery: qstash.Delivery) -> None:
        nonlocal seen, victim
        # The n-th page dies at its n-th statement, and its retry lives.
        victim = len(succeeded) + 1 if delivery.status == 200 else 0
        if delivery.status == 200:
            succeeded.append(delivery)
        seen = 0

    succeeded: list[qstash.Delivery] = []
    proxy.on_message = kill_at_victim
    stack.broker.on_delivered = next_victim
    await trigger(stack)
    await stack.broker.drain()
    assert killed >= 17, "a page has at least so many statements"
    assert stack.broker.dead_letters == []
    tally.tried += killed
    await tally.converged(connection, redis, scene.users)
    assert await open_work(connection) == (0, 0)


type Arm = Callable[[Stack], None]


def at_publish(stage: qstash.Stage) -> Arm:
    def arm(stack: Stack) -> None:
        published: set[bytes] = set()

        async def kill(message: qstash.Message, now: qstash.Stage) -> None:
            if now is stage and b"page" in message.body and message.body not in published:
                published.add(message.body)
                if len(published) % 10 == 2:
                    stack.functions.kill()
                    if stage is qstash.Stage.ARRIVED:
                        raise qstash.Drop

        stack.broker.on_publish = kill

    return arm


def at_cache_write(stage: upstash.Stage) -> Arm:
    def arm(stack: Stack) -> None:
        written: set[str] = set()

        async def kill(request: upstash.Request, now: upstash.Stage) -> None:
            keys = str([command[1] for command in request.commands])
            if now is stage and request.path == "/pipeline" and keys not in written:
                written.add(keys)
                if len(written) % 10 == 2:
                    stack.functions.kill()
                    if stage is upstash.Stage.ARRIVED:
                        raise upstash.Drop

        stack.upstash.on_request = kill

    return arm


@pytest.mark.parametrize(
    ("arm", "kills"),
    [
        pytest.param(
            at_publish(qstash.Stage.ARRIVED),
            2,
            id="before the next page is stored",
            marks=pytest.mark.fault(4),
        ),
        pytest.param(
            at_publish(qstash.Stage.STORED),
            2,
            id="after it is stored, before the reply",
            marks=pytest.mark.fault(4),
        ),
        pytest.param(
            at_cache_write(upstash.Stage.ARRIVED),
            2,
            id="before the cache is written",
            marks=pytest.mark.fault(5),
        ),
        pytest.param(
            at_cache_write(upstash.Stage.EXECUTED),
            2,
            id="after the cache is written",
            marks=pytest.mark.fault(5),
        ),
    ],
)
async def test_killed_at_an_outside_effect(  # noqa: PLR0917  # fixtures
    start: Start, connection: Connection, redis: Redis, tally: Tally, arm: Arm, kills: int
):
    scene = await build(connection)
    stack = await start(SMALL)
    arm(stack)
    await run_to_the_end(stack, connection, redis, scene.users, kills, tally)


@pytest.mark.fault(11)
async def test_killed_right_after_each_answer(
    start: Start, connection: Connection, redis: Redis, tally: Tally
):
    scene = await build(connection)
    stack = await start({"PAGE_SIZE": "20"})

    async def kill(_: qstash.Delivery) -> None:
        stack.functions.kill()

    stack.broker.on_delivered = kill
    # One by one: page 0 may otherwise be under way before the start message has its answer.
    stack.broker.shuffle = random.Random(1)
    await trigger(stack)
    deliveries = await stack.broker.drain()
    assert [delivery.status for delivery in deliveries] == [200] * 4
    assert stack.functions.starts == 4
    tally.tried += 4
    await tally.converged(connection, redis, scene.users)


@pytest.mark.fault(1, 11)
async def test_killed_right_after_its_answer_which_is_then_lost(
    start: Start, connection: Connection, redis: Redis, tally: Tally
):
    """QStash never learns of a success: the message comes again, and changes nothing."""
    scene = await build(connection)
    stack = await start({"PAGE_SIZE": "20"})
    stack.broker.copies = 2
    lost: set[bytes] = set()

    async def kill(delivery: qstash.Delivery) -> None:
        if delivery.body not in lost:
            lost.add(delivery.body)
            stack.functions.kill()

    stack.broker.on_delivered = kill
    await trigger(stack)
    await stack.broker.drain()
    tally.tried += len(lost)
    await tally.converged(connection, redis, scene.users)
    assert await open_work(connection) == (0, 0)
