"""What the stand-in's hooks can do to a publisher, and to a delivery."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

import httpx
import pytest
from qstash.errors import QStashError

from dev.qstash import Delivery, Drop, Hang, Message, Refuse, Stage, State
from tests.dev.qstash.stack import Sdk, Stack, async_sdk, direct, sync_sdk

pytestmark = pytest.mark.asyncio(loop_scope="module")


def raising(error: Exception, stage: Stage) -> Callable[[Message, Stage], Awaitable[None]]:
    """Return a hook that raises at a stage."""

    async def hook(_: Message, reached: Stage) -> None:
        if reached is stage:
            raise error

    return hook


async def test_hook_sees_the_message_before_and_after_it_is_stored(here: Stack):
    seen = []

    async def hook(message: Message, stage: Stage) -> None:
        seen.append((stage, message.body, message in here.broker.messages))

    here.broker.on_publish = hook
    async with async_sdk(here.url) as sdk:
        for body in "a", "b":
            await sdk.client.message.publish(url=here.there, body=body, deduplication_id="d")
        await sdk.client.message.batch([{"url": here.there, "body": "c"}])
    assert seen == [
        (Stage.ARRIVED, b"a", False),
        (Stage.STORED, b"a", True),
        (Stage.ARRIVED, b"b", False),
        (Stage.ARRIVED, b"c", False),
        (Stage.STORED, b"c", True),
    ]


@pytest.mark.parametrize(("stage", "stored"), [(Stage.ARRIVED, 0), (Stage.STORED, 1)])
async def test_refuse_answers_as_the_hook_says(here: Stack, stage: Stage, stored: int):
    here.broker.on_publish = raising(Refuse(429, "not json"), stage)
    async with direct(here.broker) as http:
        answer = await http.post(f"/v2/publish/{here.there}")
    assert (answer.status_code, answer.text) == (429, "not json")
    assert len(here.broker.messages) == stored


async def test_refuse_reaches_the_sdk(here: Stack):
    here.broker.on_publish = raising(Refuse(500, '{"error": "down"}'), Stage.ARRIVED)
    async with sync_sdk(here.url) as sdk:
        with pytest.raises(QStashError, match=r"status: 500.*down"):
            await sdk.call(sdk.client.message.publish, url=here.there)


@pytest.mark.parametrize(("stage", "stored"), [(Stage.ARRIVED, 0), (Stage.STORED, 1)])
@pytest.mark.parametrize("sdk", [sync_sdk, async_sdk])
async def test_drop_cuts_the_connection_without_an_answer(
    here: Stack, sdk: Callable[[str], AbstractAsyncContextManager[Sdk]], stage: Stage, stored: int
):
    here.broker.on_publish = raising(Drop(), stage)
    async with sdk(here.url) as client:
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            await client.call(client.client.message.publish, url=here.there)
        assert len(here.broker.messages) == stored
        here.broker.on_publish = None
        await client.call(client.client.message.publish, url=here.there)


@pytest.mark.parametrize(("stage", "stored"), [(Stage.ARRIVED, 0), (Stage.STORED, 1)])
async def test_hang_never_answers_and_ends_as_the_client_goes(
    here: Stack, stage: Stage, stored: int
):
    here.broker.on_publish = raising(Hang(), stage)
    async with async_sdk(here.url) as sdk:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await sdk.client.message.publish(url=here.there)
        assert len(here.broker.messages) == stored
        here.broker.on_publish = None
        await sdk.client.message.publish(url=here.there)


async def test_lost_answer_and_a_repeated_publish_make_one_message(here: Stack):
    here.broker.on_publish = raising(Drop(), Stage.STORED)
    async with async_sdk(here.url) as sdk:
        with pytest.raises(httpx.TransportError):
            await sdk.client.message.publish(url=here.there, deduplication_id="d")
        again = await sdk.client.message.publish(url=here.there, deduplication_id="d")
    assert again.deduplicated
    assert [message.message_id for message in here.broker.messages] == [again.message_id]


async def test_delivered_hook_is_called_with_the_answer_before_it_counts(here: Stack):
    seen = []

    async def hook(delivery: Delivery) -> None:
        seen.append((delivery.status, here.broker.messages[-1].state))

    here.broker.on_delivered = hook
    async with async_sdk(here.url) as sdk:
        await sdk.client.message.publish(url=here.there)
        await here.broker.drain()
        await sdk.client.message.publish(url="http://127.0.0.1:9/", retries=0)
        await here.broker.drain()
    assert seen == [(200, State.ACTIVE)]
    assert [message.state for message in here.broker.messages] == [State.DELIVERED, State.FAILED]
