"""How the stand-in delivers: retries, time-outs, the DLQ."""

from typing import Any

import pytest
from starlette.responses import Response

from dev.qstash import State
from tests.dev.qstash.stack import (
    Publish,
    Sdk,
    Stack,
    direct,
    gaps,
)

REFUSAL = {"Upstash-NonRetryable-Error": "true"}
pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_failed_message_is_retried_by_the_default_backoff(here: Stack, publish: Publish):
    here.destination.answers = [Response(status_code=status) for status in (500, 302, 404, 429)]
    await publish()
    deliveries = await here.broker.drain()
    assert [delivery.attempt for delivery in deliveries] == [1, 2, 3, 4]
    assert [delivery.status for delivery in deliveries] == [500, 302, 404, 429]
    assert gaps(deliveries) == pytest.approx([12.2, 148.4, 1808.0], abs=0.5)
    retried = [request.headers["upstash-retried"] for request in here.destination.requests]
    assert retried == ["0", "1", "2", "3"]
    assert (
        len({request.headers["upstash-message-id"] for request in here.destination.requests}) == 1
    )
    here.verify_all()


@pytest.mark.parametrize(
    ("options", "answer", "expected"),
    [
        ({"retry_delay": "20000 * pow(3, retried)"}, {}, [20, 60, 180]),
        ({"retry_delay": "5000"}, {"Retry-After": "60"}, [60, 60, 60]),
        ({"retries": 1}, {"X-RateLimit-Reset": "6m5s"}, [365]),
        ({"retries": 0}, {}, []),
    ],
    ids=["retry-delay", "retry-after", "rate-limit-reset", "no-retries"],
)
async def test_retries_come_when_message_and_answer_ask(
    here: Stack,
    publish: Publish,
    options: dict[str, Any],
    answer: dict[str, str],
    expected: list[float],
):
    here.destination.answers = [Response(status_code=503, headers=answer) for _ in range(4)]
    await publish(**options)
    assert gaps(await here.broker.drain()) == pytest.approx(expected, abs=0.5)


async def test_message_succeeds_at_the_attempt_that_is_answered_2xx(here: Stack, publish: Publish):
    here.destination.answers = [Response(status_code=503), Response("ok", 204)]
    name = await publish()
    assert [delivery.status for delivery in await here.broker.drain()] == [503, 204]
    [message] = here.broker.messages
    assert (message.message_id, message.state) == (name, State.DELIVERED)
    assert (here.broker.pending(), here.broker.dead_letters) == ([], [])


async def test_489_with_its_header_goes_straight_to_the_dlq(here: Stack, publish: Publish):
    here.destination.answers = [Response("never", 489, REFUSAL), Response("no", 489)]
    await publish("first")
    await publish("second")
    assert [delivery.status for delivery in await here.broker.drain()] == [489, 489, 200]
    [dead] = here.broker.dead_letters
    assert (dead.message.body, dead.delivery.response_body) == (b"first", b"never")
    assert dead.message.state is State.FAILED


async def test_unreachable_destination_is_a_failed_attempt_without_status(here: Stack, sdk: Sdk):
    await sdk.client.message.publish(url="http://127.0.0.1:9/", retries=1)
    deliveries = await here.broker.drain()
    [dead] = (await sdk.client.dlq.list()).messages
    assert [delivery.status for delivery in deliveries] == [None, None]
    assert "ConnectError" in deliveries[0].error
    assert dead.response_status == 0
    assert "ConnectError" in dead.response_body


async def test_answer_after_the_timeout_does_not_count(here: Stack, publish: Publish):
    here.destination.seconds = 0.3
    await publish(timeout="100ms", retries=0)
    [delivery] = await here.broker.drain()
    assert (delivery.status, delivery.error) == (None, "no answer within 0.1 s")
    assert len(here.broker.dead_letters) == 1


async def test_dead_letter_is_published_anew_by_a_retry(here: Stack, publish: Publish):
    here.destination.answers = [Response(status_code=500)]
    old = await publish("again", retries=0, headers={"X-A": "1"}, deduplication_id="d", delay=9)
    await here.broker.drain()
    [dead] = here.broker.dead_letters
    async with direct(here.broker) as http:
        answer = await http.post(f"/v2/dlq/retry/{dead.dlq_id}")
        assert (await http.post(f"/v2/dlq/retry/{dead.dlq_id}")).status_code == 404
    assert answer.status_code == 201
    assert answer.json()["messageId"] != old
    [delivery] = await here.broker.drain(limit_seconds=0)
    assert (delivery.message_id, delivery.status) == (answer.json()["messageId"], 200)
    assert here.destination.bodies == [b"again", b"again"]
    assert here.destination.requests[1].headers["x-a"] == "1"
    assert here.broker.dead_letters == []
