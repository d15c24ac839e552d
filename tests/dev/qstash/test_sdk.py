"""The official SDK, sync and async, cannot tell the stand-in from QStash."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from qstash import Receiver
from qstash.errors import QStashError
from starlette.responses import Response

from dev.qstash import DEV_CURRENT_KEY, DEV_NEXT_KEY
from tests.dev.qstash.stack import Port, Sdk, Stack, async_sdk, sync_sdk

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(
    params=[sync_sdk, async_sdk], ids=["sync", "async"], scope="module", loop_scope="module"
)
async def sdk(port: Port, request: pytest.FixtureRequest) -> AsyncIterator[Sdk]:
    async with request.param(port.url) as client:
        yield client


async def test_publish_delivers_the_message_unmodified_and_signed(here: Stack, sdk: Sdk):
    answer = await sdk.call(
        sdk.client.message.publish_json,
        url=here.there + "/a//b%2Fc/?x=1&y=%20",
        body={"page": 1},
        headers={"X-Mark": "m"},
    )
    [delivery] = await here.broker.drain()
    [got] = here.destination.requests
    assert (answer.message_id, answer.deduplicated) == (delivery.message_id, False)
    assert (delivery.status, delivery.attempt, delivery.response_body) == (200, 1, b"done")
    assert (got.method, got.target) == ("POST", "/in/a//b%2Fc/?x=1&y=%20")
    assert got.body == b'{"page": 1}'
    assert got.headers["content-type"] == "application/json"
    assert got.headers["x-mark"] == "m"
    assert got.headers["user-agent"] == "Upstash-QStash"
    assert got.headers["upstash-message-id"] == answer.message_id
    assert got.headers["upstash-retried"] == "0"
    assert got.headers["upstash-caller-ip"] == "127.0.0.1"
    assert "upstash-schedule-id" not in got.headers
    assert "authorization" not in got.headers
    here.verify_all()


async def test_publish_keeps_method_content_type_and_binary_body(here: Stack, sdk: Sdk):
    await sdk.call(
        sdk.client.message.publish,
        url=here.there,
        body=b"\xff\x00",
        method="PUT",
        content_type="application/x-bytes",
    )
    await here.broker.drain()
    [got] = here.destination.requests
    assert (got.method, got.body) == ("PUT", b"\xff\x00")
    assert got.headers["content-type"] == "application/x-bytes"


async def test_message_get_tells_everything_that_was_asked(here: Stack, sdk: Sdk):
    answer = await sdk.call(
        sdk.client.message.publish,
        url=here.there,
        body="text",
        headers={"X-A": "1"},
        retries=2,
        retry_delay="1000 * (1 + retried)",
        delay="1h",
        callback=here.there + "/callback",
        failure_callback=here.there + "/failed",
        failure_callback_headers={"Forward-X-B": "2"},
        flow_control={"key": "k", "parallelism": 2, "rate": 3, "period": "1m"},
        label="batch",
    )
    got = await sdk.call(sdk.client.message.get, answer.message_id)
    assert (got.message_id, got.url, got.method) == (answer.message_id, here.there, "POST")
    assert (got.body, got.body_base64, got.headers) == ("text", None, {"X-A": ["1"]})
    assert (got.max_retries, got.retry_delay_expression) == (2, "1000 * (1 + retried)")
    assert (got.callback, got.failure_callback) == (
        here.there + "/callback",
        here.there + "/failed",
    )
    assert got.failure_callback_headers["X-B"] == ["2"]
    assert abs(got.not_before - got.created_at - 3_600_000) <= 1
    assert (got.flow_control.key, got.flow_control.parallelism) == ("k", 2)
    assert (got.flow_control.rate, got.flow_control.period) == (3, 60)
    assert (got.label, got.caller_ip) == ("batch", "127.0.0.1")


async def test_message_is_gone_once_it_has_ended(here: Stack, sdk: Sdk):
    answer = await sdk.call(sdk.client.message.publish, url=here.there)
    await here.broker.drain()
    with pytest.raises(QStashError, match="404"):
        await sdk.call(sdk.client.message.get, answer.message_id)


async def test_enqueue_and_batch_deliver_every_message(here: Stack, sdk: Sdk):
    one = await sdk.call(sdk.client.message.enqueue, queue="q", url=here.there + "?n=1", body="1")
    assert (await sdk.call(sdk.client.message.get, one.message_id)).queue == "q"
    batch = await sdk.call(
        sdk.client.message.batch_json,
        [
            {"url": here.there + "?n=2", "body": 2, "deduplication_id": "two"},
            {"url": here.there + "?n=2", "body": 2, "deduplication_id": "two"},
            {"url": here.there + "?n=3", "body": 3, "queue": "q", "headers": {"X-N": "3"}},
        ],
    )
    assert [answer.deduplicated for answer in batch] == [False, True, False]
    assert batch[0].message_id == batch[1].message_id
    await here.broker.drain()
    assert here.destination.bodies == [b"1", b"2", b"3"]
    assert here.destination.requests[2].headers["x-n"] == "3"
    here.verify_all()


async def test_cancel_stops_what_is_pending(here: Stack, sdk: Sdk):
    messages = [{"url": here.there, "delay": 60} for _ in range(5)]
    batch = await sdk.call(sdk.client.message.batch, messages)
    names = [answer.message_id for answer in batch]
    await sdk.call(sdk.client.message.cancel, names[0])
    assert await sdk.call(sdk.client.message.cancel_many, names[:3]) == 2
    assert [message.message_id for message in here.broker.pending()] == names[3:]
    assert await sdk.call(sdk.client.message.cancel_all) == 2
    assert await here.broker.drain() == []
    with pytest.raises(QStashError, match="404"):
        await sdk.call(sdk.client.message.cancel, names[0])


async def test_keys_are_those_of_the_dev_server_until_they_are_rotated(here: Stack, sdk: Sdk):
    old = await sdk.call(sdk.client.signing_key.get)
    assert (old.current, old.next) == (DEV_CURRENT_KEY, DEV_NEXT_KEY)
    new = await sdk.call(sdk.client.signing_key.rotate)
    assert new.current == old.next
    assert new.next not in (old.current, old.next)
    await sdk.call(sdk.client.message.publish, url=here.there, body="x")
    await here.broker.drain()
    here.verify_all()
    # who has not yet heard of the rotation still accepts it by its next key
    Receiver(old.current, old.next).verify(
        signature=here.destination.requests[0].headers["upstash-signature"],
        body="x",
        url=here.there,
    )


async def test_dead_letters_are_listed_filtered_deleted(here: Stack, sdk: Sdk):
    here.destination.answers = [Response(f"no {n}", 500 + n) for n in range(4)]
    for label in ("a", "b", "c", "d"):
        await sdk.call(
            sdk.client.message.publish, url=here.there, body=label, retries=0, label=label
        )
        await here.broker.drain()
    listed = await sdk.call(sdk.client.dlq.list)
    assert [(dead.body, dead.response_status) for dead in listed.messages] == [
        ("a", 500),
        ("b", 501),
        ("c", 502),
        ("d", 503),
    ]
    assert (listed.cursor, listed.messages[1].response_body) == (None, "no 1")
    first = await sdk.call(sdk.client.dlq.list, count=3)
    rest = await sdk.call(sdk.client.dlq.list, count=3, cursor=first.cursor)
    assert [dead.body for dead in first.messages + rest.messages] == ["a", "b", "c", "d"]
    assert rest.cursor is None
    for query, body in ({"label": "b"}, "b"), ({"response_status": 502}, "c"):
        found = await sdk.call(sdk.client.dlq.list, filter=query)
        assert [dead.body for dead in found.messages] == [body]
    [one, *others] = [dead.dlq_id for dead in listed.messages]
    assert (await sdk.call(sdk.client.dlq.get, one)).body == "a"
    await sdk.call(sdk.client.dlq.delete, one)
    with pytest.raises(QStashError, match="404"):
        await sdk.call(sdk.client.dlq.get, one)
    assert await sdk.call(sdk.client.dlq.delete_many, [one, *others]) == 3
    assert here.broker.dead_letters == []


async def test_log_tells_what_happened_newest_first(here: Stack, sdk: Sdk):
    here.destination.answers = [Response("no", 500)]
    answer = await sdk.call(sdk.client.message.publish, url=here.there, retry_delay="5000")
    await here.broker.drain()
    logs = (await sdk.call(sdk.client.log.list)).logs
    assert [log.state.value for log in reversed(logs)] == [
        "CREATED",
        "ACTIVE",
        "ERROR",
        "RETRY",
        "ACTIVE",
        "DELIVERED",
    ]
    assert {log.message_id for log in logs} == {answer.message_id}
    error, retry = logs[3], logs[2]
    assert (error.response_status, error.retry_delay_expression) == (500, "5000")
    assert 4000 < retry.next_delivery_time - retry.time <= 5000
    found = await sdk.call(sdk.client.log.list, filter={"message_id": "msg_other"})
    assert found.logs == []


async def test_flow_control_is_read_paused_and_pinned(here: Stack, sdk: Sdk):
    flow, key = sdk.client.flow_control, "user-embeddings"
    limits = {"key": key, "parallelism": 2, "rate": 5, "period": 60}
    await sdk.call(sdk.client.message.publish, url=here.there, flow_control=limits)
    got = await sdk.call(flow.get, key)
    assert (got.parallelism_max, got.rate_max, got.rate_period) == (2, 5, 60)
    assert (got.wait_list_size, got.parallelism_count, got.is_paused) == (1, 0, False)
    await sdk.call(flow.pause, key)
    assert await here.broker.drain() == []
    await sdk.call(flow.pin, key, {"parallelism": 7})
    await sdk.call(sdk.client.message.publish, url=here.there, flow_control=limits)
    got = await sdk.call(flow.get, key)
    assert (got.is_paused, got.is_pinned_parallelism, got.is_pinned_rate) == (True, True, False)
    assert (got.parallelism_max, got.rate_max, got.wait_list_size) == (7, 5, 2)
    await sdk.call(flow.unpin, key, {"parallelism": True})
    await sdk.call(flow.resume, key)
    assert len(await here.broker.drain()) == 2
    got = await sdk.call(flow.get, key)
    assert (got.is_pinned_parallelism, got.rate_count) == (False, 2)
    await sdk.call(flow.reset_rate, key)
    assert (await sdk.call(flow.get, key)).rate_count == 0
    total = await sdk.call(flow.get_global_parallelism)
    assert (total.parallelism_count, total.parallelism_max) == (0, 100)
    with pytest.raises(QStashError, match="404"):
        await sdk.call(flow.get, "other")


async def test_schedule_is_overwritten_by_its_id(here: Stack, sdk: Sdk):
    schedule = sdk.client.schedule
    for cron in ("0 * * * *", "0 */2 * * *"):
        name = await sdk.call(
            schedule.create,
            destination=here.there,
            cron=cron,
            body="{}",
            content_type="application/json",
            retries=1,
            retry_delay="20000",
            failure_callback=here.there + "/failed",
            schedule_id="user-embeddings",
            timeout=55,
            label="batch",
            flow_control={"key": "k", "parallelism": 1},
        )
        assert name == "user-embeddings"
    [got] = await sdk.call(schedule.list)
    assert got == await sdk.call(schedule.get, "user-embeddings")
    assert (got.schedule_id, got.cron, got.destination) == (name, "0 */2 * * *", here.there)
    assert (got.body, got.method, got.retries, got.timeout) == ("{}", "POST", 1, 55)
    assert (got.failure_callback, got.label) == (here.there + "/failed", "batch")
    assert (got.retry_delay_expression, got.flow_control.parallelism) == ("20000", 1)
    assert (got.paused, got.headers) == (False, {"Content-Type": ["application/json"]})
    assert got.next_schedule_time > got.created_at
    assert (got.last_schedule_time, got.last_schedule_states) == (None, None)


async def test_schedule_is_paused_resumed_deleted(here: Stack, sdk: Sdk):
    schedule = sdk.client.schedule
    name = await sdk.call(schedule.create, destination=here.there, cron="* * * * *")
    await sdk.call(schedule.pause, name)
    assert (await sdk.call(schedule.get, name)).paused
    await sdk.call(schedule.resume, name)
    assert not (await sdk.call(schedule.get, name)).paused
    await sdk.call(schedule.delete, name)
    assert await sdk.call(schedule.list) == []
    with pytest.raises(QStashError, match="404"):
        await sdk.call(schedule.get, name)
