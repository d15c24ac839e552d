"""Functions with hardly any time: what they cannot do they leave to others, and nobody is lost."""

from collections import Counter

import pytest
from asyncpg import Connection
from valkey.asyncio import Valkey as Redis

from dev import qstash
from dev.ageing import age_runs
from dev.stack import Stack
from tests.conftest import Start, trigger
from tests.promises import open_work, rows
from tests.scene import act, build
from tests.tally import Tally

pytestmark = [pytest.mark.fault(11), pytest.mark.timeout(600)]

SMALL = {"PAGE_SIZE": "4", "PARALLEL_CHAINS": "2"}
PAGES = 5
WHOLE = 300.0
HOURS = 3600
SHORTEST, LONGEST = 0.005, 0.2  # seconds: from none of a page to all of it
KILLS, KILLS_LONG = 10, 200


def is_page(message: qstash.Message) -> bool:
    return b"page" in message.body


@pytest.mark.parametrize("waited", [WHOLE, 2 * WHOLE], ids=["over", "long over"])
async def test_page_without_time_begins_nothing_and_lets_its_chain_go_on(  # fixtures
    start: Start, connection: Connection, redis: Redis, tally: Tally, waited: float
):
    """Every page is first delivered with its time over; its retry has all there is."""
    scene = await build(connection, users=20)
    stack = await start(SMALL)
    await trigger(stack)
    await stack.broker.drain(max_deliveries=1)
    stack.functions.waited = waited
    hurried: list[qstash.Delivery] = []

    async def give_time(delivery: qstash.Delivery) -> None:
        hurried.append(delivery)
        if len(hurried) == PAGES:
            stack.functions.waited = 0.0

    stack.broker.on_delivered = give_time
    await stack.broker.drain(limit_seconds=30)  # less than a Retry-After
    assert [delivery.status for delivery in hurried] == [503] * PAGES
    assert all(b'"status":"incomplete"' in delivery.response_body for delivery in hurried)
    assert await rows(connection) == {}
    assert await open_work(connection) == (1, len(scene.users))
    tally.tried = len(hurried)
    assert [delivery.status for delivery in await stack.broker.drain()] == [200] * PAGES
    assert sum(map(is_page, stack.broker.messages)) == PAGES
    await tally.converged(connection, redis, scene.users)
    assert await open_work(connection) == (0, 0)


async def test_run_whose_pages_never_had_time_is_made_good_by_the_next(
    start: Start, connection: Connection, redis: Redis, tally: Tally
):
    """Each page is given up after its attempts, without a vector; so is no user."""
    scene = await build(connection, users=20)
    stack = await start(SMALL)
    stack.functions.waited = WHOLE
    await trigger(stack)
    await stack.broker.drain()
    given_up = [letter.message for letter in stack.broker.dead_letters]
    assert sum(map(is_page, given_up)) == len(given_up) == PAGES
    assert await rows(connection) == {}
    tally.tried = sum(delivery.status == 503 for delivery in stack.broker.deliveries)
    stack.functions.waited = 0.0
    await age_runs(connection, 2 * HOURS)
    await trigger(stack)
    assert {delivery.status for delivery in await stack.broker.drain()} == {200}
    await tally.converged(connection, redis, scene.users)
    assert await open_work(connection) == (0, 0)


async def test_functions_killed_for_taking_longer_than_they_may_lose_nobody(
    start: Start,
    connection: Connection,
    redis: Redis,
    tally: Tally,
    long: bool,  # noqa: FBT001
):
    """Each delivery has another few milliseconds for all it does; then comes one whole run."""
    random = tally.dice()
    scene = await build(connection, users=20)
    stack = await start(SMALL)
    statuses: Counter[int | None] = Counter()

    async def hurry(delivery: qstash.Delivery) -> None:
        statuses[delivery.status] += 1
        stack.functions.max_duration = random.uniform(SHORTEST, LONGEST)

    while statuses[504] < (KILLS_LONG if long else KILLS):
        for user in scene.users:
            await act(connection, user, random.choice(scene.posts))
        stack.broker.on_delivered = hurry
        await trigger(stack)
        await stack.broker.drain()
        await heal(stack, connection)
        await trigger(stack)
        await stack.broker.drain()
        assert await open_work(connection) == (0, 0)
        await tally.converged(connection, redis, scene.users)
    tally.tried = statuses[504] + statuses[503]
    tally.notes.append(f"{statuses[504]} killed, {statuses[503]} out of time")


async def heal(stack: Stack, connection: Connection) -> None:
    """Give back all the time there is, two hours later."""
    stack.broker.on_delivered = None
    stack.functions.max_duration = WHOLE
    await age_runs(connection, 2 * HOURS)
    stack.broker.clock.jump(2 * HOURS)
