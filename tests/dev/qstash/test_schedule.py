"""When the stand-in's schedules fire, and what they publish."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
import pytest_asyncio
from qstash.asyncio.schedule import AsyncScheduleApi
from starlette.responses import Response

from dev.qstash import Broker
from tests.dev.qstash.stack import Port, Stack, async_sdk

TWO_HOURS = 7200


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def schedules(port: Port) -> AsyncIterator[AsyncScheduleApi]:
    async with async_sdk(port.url) as sdk:
        yield sdk.client.schedule


@asynccontextmanager
async def live(broker: Broker) -> AsyncIterator[None]:
    """Run the broker while the block runs."""
    running = asyncio.create_task(broker.run())
    try:
        yield
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def arrived(here: Stack, number: int) -> None:
    """Wait until so many requests have arrived, and then a little for more."""
    await here.destination.until(number)
    await asyncio.sleep(0.05)
    assert len(here.destination.requests) == number


async def test_tick_publishes_what_was_stored_at_creation(here: Stack, schedules: AsyncScheduleApi):
    here.destination.answers = [Response(status_code=500) for _ in range(2)]
    await schedules.create(
        destination=here.there + "/batch",
        cron="0 */2 * * *",
        body="{}",
        content_type="application/json",
        headers={"X-Bypass": "b"},
        retries=1,
        retry_delay="30000",
        failure_callback=here.there + "/failed",
        schedule_id="user-embeddings",
    )
    name = await here.broker.tick("user-embeddings")
    deliveries = await here.broker.drain()
    assert [delivery.message_id for delivery in deliveries[:2]] == [name, name]
    assert deliveries[1].started - deliveries[0].finished == pytest.approx(30, abs=0.5)
    first, second, callback = here.destination.requests
    assert (first.target, first.body, second.body) == ("/in/batch", b"{}", b"{}")
    assert first.headers["upstash-schedule-id"] == "user-embeddings"
    assert (first.headers["x-bypass"], first.headers["content-type"]) == ("b", "application/json")
    assert callback.target == "/in/failed"
    assert b'"scheduleId": "user-embeddings"' in callback.body
    here.verify_all()


async def test_every_tick_is_a_message_of_its_own(here: Stack, schedules: AsyncScheduleApi):
    await schedules.create(destination=here.there, cron="* * * * *", schedule_id="s")
    names = {await here.broker.tick("s") for _ in range(3)}
    await here.broker.drain()
    assert len(names) == len(here.destination.requests) == 3


async def test_schedule_tells_of_its_last_tick(here: Stack, schedules: AsyncScheduleApi):
    await schedules.create(destination=here.there, cron="* * * * *", schedule_id="s")
    name = await here.broker.tick("s")
    got = await schedules.get("s")
    assert abs(got.last_schedule_time - here.broker.clock.now() * 1000) < 60_000
    assert {key: state.value for key, state in got.last_schedule_states.items()} == {
        name: "IN_PROGRESS"
    }
    await here.broker.drain()
    got = await schedules.get("s")
    assert got.last_schedule_states[name].value == "SUCCESS"


async def test_schedule_fires_when_its_time_comes_and_once_for_missed_ticks(
    here: Stack, schedules: AsyncScheduleApi
):
    await schedules.create(destination=here.there, cron="0 */2 * * *", schedule_id="s")
    async with live(here.broker):
        await arrived(here, 0)
        here.broker.clock.jump(TWO_HOURS)
        await arrived(here, 1)
        here.broker.clock.jump(3 * TWO_HOURS)
        await arrived(here, 2)


async def test_overwritten_schedule_fires_once_and_as_the_new_one(
    here: Stack, schedules: AsyncScheduleApi
):
    for body in "old", "new":
        await schedules.create(
            destination=here.there, cron="0 */2 * * *", body=body, schedule_id="s"
        )
    async with live(here.broker):
        here.broker.clock.jump(TWO_HOURS)
        await arrived(here, 1)
    assert here.destination.bodies == [b"new"]


async def test_paused_schedule_loses_its_ticks(here: Stack, schedules: AsyncScheduleApi):
    await schedules.create(destination=here.there, cron="0 */2 * * *", schedule_id="s")
    await schedules.create(destination=here.there, cron="0 */2 * * *", body="other")
    await schedules.pause("s")
    async with live(here.broker):
        here.broker.clock.jump(TWO_HOURS)
        await arrived(here, 1)
        await schedules.resume("s")
        await asyncio.sleep(0.05)
        assert here.destination.bodies == [b"other"]
        here.broker.clock.jump(TWO_HOURS)
        await arrived(here, 3)


async def test_drain_leaves_schedules_alone(here: Stack, schedules: AsyncScheduleApi):
    await schedules.create(destination=here.there, cron="* * * * *")
    assert await here.broker.drain() == []
