"""Draining the stand-in, delivering by hand, and letting it run."""

import asyncio
import random
from collections import Counter
from contextlib import suppress

import pytest
from starlette.responses import Response

from dev.qstash import Delivery, State
from tests.dev.qstash.stack import (
    Publish,
    Stack,
    direct,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_drain_keeps_due_order_and_leaves_what_is_due_later(here: Stack, publish: Publish):
    now = int(here.broker.clock.now())
    await publish("30 m", delay="30m")
    await publish("10 m", delay=600, not_before=now + 1200)
    await publish("2 h", delay="2h")
    await publish("now", not_before=now - 99)
    assert [message.body for message in here.broker.pending()] == [b"now", b"10 m", b"30 m", b"2 h"]
    deliveries = await here.broker.drain(limit_seconds=3600)
    assert [delivery.body for delivery in deliveries] == [b"now", b"10 m", b"30 m"]
    assert [round((each.started - now) / 60) for each in deliveries] == [0, 20, 30]
    assert [message.body for message in here.broker.pending()] == [b"2 h"]
    assert here.broker.deliveries == deliveries


async def test_drain_stops_at_its_number_of_deliveries(here: Stack, publish: Publish):
    for n in range(5):
        await publish(str(n))
    assert len(await here.broker.drain(max_deliveries=3)) == 3
    assert [message.body for message in here.broker.pending()] == [b"3", b"4"]


async def test_drain_takes_up_what_is_published_meanwhile(here: Stack, publish: Publish):
    async def publish_next(delivery: Delivery) -> None:
        if int(delivery.body) < 20:
            await publish(str(int(delivery.body) + 1))

    here.broker.on_delivered = publish_next
    await publish("1")
    assert [int(delivery.body) for delivery in await here.broker.drain()] == list(range(1, 21))


async def test_drain_hands_on_what_a_hook_raises_and_keeps_the_message(
    here: Stack, publish: Publish
):
    async def fail(_: Delivery) -> None:
        raise LookupError("hook")

    await publish()
    here.broker.on_delivered = fail
    with pytest.raises(LookupError, match="hook"):
        await here.broker.drain()
    here.broker.on_delivered = None
    assert [delivery.attempt for delivery in await here.broker.drain()] == [1]


async def test_copies_deliver_every_first_attempt_so_often(here: Stack, publish: Publish):
    here.destination.answers = [Response(status_code=500) for _ in range(3)]
    here.broker.copies = 3
    name = await publish(retry_delay="60000")
    deliveries = await here.broker.drain()
    assert Counter(delivery.attempt for delivery in deliveries) == {1: 3, 2: 1}
    assert {delivery.message_id for delivery in deliveries} == {name}
    assert here.broker.messages[0].state is State.DELIVERED
    assert here.broker.dead_letters == []


async def test_shuffle_delivers_all_one_by_one_in_another_order(here: Stack, publish: Publish):
    here.destination.seconds = 0.002
    here.broker.shuffle = random.Random(7)  # nothing secret about an order
    here.broker.copies = 2
    for n in range(10):
        await publish(str(n), delay=n)
    bodies = [delivery.body for delivery in await here.broker.drain()]
    assert sorted(bodies) == sorted([str(n).encode() for n in range(10)] * 2)
    assert bodies != sorted(bodies)
    assert here.destination.most_active == 1


async def test_deliver_takes_a_pending_message_early(here: Stack, publish: Publish):
    await publish("first")
    name = await publish("later", delay="1h")
    delivery = await here.broker.deliver(name)
    assert (delivery.body, delivery.attempt, delivery.status) == (b"later", 1, 200)
    assert [message.body for message in here.broker.pending()] == [b"first"]


async def test_deliver_repeats_a_message_whatever_its_state(here: Stack, publish: Publish):
    here.destination.answers = [Response(status_code=500)]
    dead = await publish("dead", retries=0)
    await here.broker.drain()
    done = await publish("done")
    await here.broker.drain()
    here.broker.clock.jump(86400)
    for name in dead, done:
        here.destination.answers = [Response(status_code=503)]
        delivery = await here.broker.deliver(name)
        assert (delivery.message_id, delivery.status) == (name, 503)
    # late repetitions decide nothing
    states = [message.state for message in here.broker.messages]
    assert states == [State.FAILED, State.DELIVERED]
    assert (len(here.broker.dead_letters), here.broker.pending()) == (1, [])
    here.verify_all()


async def test_deliver_twice_at_once_races_two_deliveries_of_one_message(
    here: Stack, publish: Publish
):
    here.destination.seconds = 0.05
    name = await publish(flow_control={"key": "k", "parallelism": 1})
    await asyncio.gather(here.broker.deliver(name), here.broker.deliver(name))
    assert here.destination.most_active == 2
    assert here.broker.pending() == []


async def test_message_cancelled_under_way_is_not_tried_again(here: Stack, publish: Publish):
    here.destination.seconds = 0.1
    here.destination.answers = [Response(status_code=500)]
    await publish(failure_callback=here.there)
    async with direct(here.broker) as http, asyncio.TaskGroup() as group:
        drained = group.create_task(here.broker.drain())
        await here.destination.until(1)
        assert (await http.request("DELETE", "/v2/messages")).json() == {"cancelled": 1}
    assert len(drained.result()) == 1
    assert here.broker.messages[0].state is State.CANCELLED
    assert (here.broker.pending(), here.broker.dead_letters) == ([], [])


async def test_run_delivers_what_is_published_until_cancelled(here: Stack, publish: Publish):
    running = asyncio.create_task(here.broker.run())
    await publish("now")
    await publish("soon", delay="200ms")
    await here.destination.until(2)
    first, second = here.broker.deliveries[0], here.broker.messages[1]
    assert (first.body, here.destination.bodies) == (b"now", [b"now", b"soon"])
    assert here.broker.clock.now() >= second.due
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def test_run_cut_short_leaves_its_message_pending(here: Stack, publish: Publish):
    here.destination.seconds = 0.2
    running = asyncio.create_task(here.broker.run())
    name = await publish()
    await here.destination.until(1)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    assert [message.message_id for message in here.broker.pending()] == [name]
    assert [delivery.status for delivery in await here.broker.drain()] == [200]
