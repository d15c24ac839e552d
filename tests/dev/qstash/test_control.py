"""The stand-in's deduplication and flow control."""

import pytest

from tests.dev.qstash.stack import (
    Publish,
    Sdk,
    Stack,
    direct,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_deduplicated_message_is_answered_202_with_the_old_id(here: Stack):
    async with direct(here.broker) as http:
        path, headers = f"/v2/publish/{here.there}", {"Upstash-Deduplication-Id": "run_1"}
        first = await http.post(path, headers=headers)
        await here.broker.drain()
        again = await http.post(path, headers=headers, content=b"other")
        here.broker.clock.jump(590)
        late = await http.post(path, headers=headers)
        here.broker.clock.jump(11)
        after = await http.post(path, headers=headers)
    assert first.status_code == after.status_code == 200
    assert again.status_code == late.status_code == 202
    assert again.json() == late.json() == first.json() | {"deduplicated": True}
    assert after.json()["messageId"] != first.json()["messageId"]
    assert len(here.broker.messages) == 2


async def test_content_deduplication_looks_at_destination_body_and_headers(here: Stack, sdk: Sdk):
    same = {"url": here.there, "body": "x", "content_based_deduplication": True}
    others = [
        {},
        {"retries": 1},
        {"url": here.there + "/other"},
        {"body": "y"},
        {"headers": {"X-A": "1"}},
        {"content_type": "text/plain"},
    ]
    answers = [await sdk.client.message.publish(**same | other) for other in others]
    assert [answer.deduplicated for answer in answers] == [False, True, *[False] * 4]


async def test_flow_control_bounds_what_is_under_way(here: Stack, publish: Publish):
    here.destination.seconds = 0.05
    for key, number in ("narrow", 6), ("wide", 6):
        for _ in range(number):
            flow = {"key": key, "parallelism": 2 if key == "narrow" else 3}
            await publish(key, flow_control=flow)
    deliveries = await here.broker.drain()
    assert len(deliveries) == 12
    # both keys at their bound at once, and never above it
    assert here.destination.most_active == 5
    moments = [delivery.started for delivery in deliveries]
    for key, bound in (b"narrow", 2), (b"wide", 3):
        mine = [delivery for delivery in deliveries if delivery.body == key]
        assert bound == max(
            sum(one.started <= moment < one.finished for one in mine) for moment in moments
        )


async def test_flow_control_rate_spreads_messages_over_periods(here: Stack, publish: Publish):
    for _ in range(5):
        await publish(flow_control={"key": "k", "rate": 2, "period": 60})
    started = [delivery.started for delivery in await here.broker.drain()]
    periods = [round((moment - started[0]) / 60) for moment in started]
    assert periods == [0, 0, 1, 1, 2]


async def test_without_flow_control_messages_go_at_once(here: Stack, publish: Publish):
    here.destination.seconds = 0.1
    for _ in range(8):
        await publish()
    await here.broker.drain()
    assert here.destination.most_active == 8
