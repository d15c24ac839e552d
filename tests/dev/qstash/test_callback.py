"""What the stand-in tells callbacks and failure callbacks."""

import base64
import json

import pytest
from starlette.responses import Response

from tests.dev.qstash.stack import (
    Publish,
    Stack,
    gaps,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_failure_callback_tells_how_the_message_failed(here: Stack, publish: Publish):
    here.destination.answers = [Response(f"no {n}", 500, {"X-Why": "w"}) for n in range(4)]
    name = await publish(
        "page",
        content_type="text/plain",
        headers={"X-A": "1"},
        retries=1,
        retry_delay="5000",
        failure_callback=here.there + "/failed",
        failure_callback_headers={"Forward-X-Bypass": "b"},
    )
    deliveries = await here.broker.drain()
    got = here.destination.requests[-1]
    content = json.loads(got.body)
    source = here.broker.messages[0]
    # two attempts of the message, and as many of the callback, which retries as the message does
    assert [delivery.attempt for delivery in deliveries] == [1, 2, 1, 2]
    assert gaps(deliveries[2:]) == pytest.approx([5], abs=0.5)
    assert content.pop("header")["x-why"] == ["w"]
    assert content == {
        "status": 500,
        "body": base64.b64encode(b"no 1").decode(),
        "retried": 1,
        "maxRetries": 1,
        "sourceMessageId": name,
        "url": here.there,
        "method": "POST",
        "sourceHeader": {"Content-Type": ["text/plain"], "X-A": ["1"]},
        "sourceBody": base64.b64encode(b"page").decode(),
        "notBefore": str(round(source.due * 1000)),
        "createdAt": str(round(source.created * 1000)),
        "callerIP": "127.0.0.1",
        "dlqId": here.broker.dead_letters[0].dlq_id,
    }
    assert (got.target, got.method) == ("/in/failed", "POST")
    assert (got.headers["x-bypass"], got.headers["content-type"]) == ("b", "application/json")
    assert got.headers["upstash-message-id"] == here.broker.messages[1].message_id
    here.verify_all()


async def test_failure_callback_that_fails_is_dead_and_calls_nobody(here: Stack, publish: Publish):
    here.destination.answers = [Response(status_code=500) for _ in range(9)]
    settings = {"Retries": "2", "Method": "PUT", "Timeout": "7s", "Delay": "1m"}
    await publish(
        retries=0, failure_callback=here.there + "/failed", failure_callback_headers=settings
    )
    deliveries = await here.broker.drain()
    assert [delivery.attempt for delivery in deliveries] == [1, 1, 2, 3]
    assert gaps(deliveries[:2]) == pytest.approx([60], abs=0.5)
    assert [request.method for request in here.destination.requests] == ["POST", *["PUT"] * 3]
    assert [dead.message.url for dead in here.broker.dead_letters] == [
        here.there,
        here.there + "/failed",
    ]


async def test_failure_callback_tells_of_no_answer_as_status_0(here: Stack, publish: Publish):
    here.destination.seconds = 0.3
    await publish(timeout="100ms", retries=0, failure_callback=here.there)
    await here.broker.drain(max_deliveries=1)
    here.destination.seconds = 0
    await here.broker.drain()
    content = json.loads(here.destination.bodies[-1])
    assert (content["status"], content["header"]) == (0, {})
    assert base64.b64decode(content["body"]) == b"no answer within 0.1 s"


async def test_callback_comes_after_every_attempt(here: Stack, publish: Publish):
    here.destination.answers = [Response("no", 500)]
    await publish(callback=here.there + "/told", retry_delay="60000")
    await here.broker.drain()
    told = [json.loads(got.body) for got in here.destination.requests if "/told" in got.target]
    assert [(report["status"], report["retried"]) for report in told] == [(500, 0), (200, 1)]
    assert all("dlqId" not in report for report in told)
    here.verify_all()
