"""Publishing messages: to ourselves, through QStash."""

import asyncio
from typing import TYPE_CHECKING

from qstash.message import FlowControl

from lib.qstash.connection import (
    TOTAL_SECONDS,
    calling,
    connect_async,
    disconnect_async,
    message_id,
)
from lib.qstash.delivery import delivery, destination
from lib.qstash.message import Message, Page, Snapshot, Start, deduplication_id, encode
from lib.settings import QueueSettings

if TYPE_CHECKING:
    from qstash import AsyncQStash

FLOW_CONTROL_KEY = "user-embeddings"
SNAPSHOT_KEY = "user-embeddings-snapshot"


class Queue:
    """Publishes within `seconds` a message or raises Unavailable; belongs to one event loop."""

    def __init__(self, settings: QueueSettings, seconds: float = TOTAL_SECONDS) -> None:
        self._settings = settings
        self._seconds = seconds
        self._client: AsyncQStash | None = None

    async def publish_page(self, page: Page, chains: int) -> None:
        """Publish a page; QStash delivers at most `chains` pages side by side.

        A page published again within 10 minutes is dropped by QStash, which is a success.
        """
        await self._publish(
            page,
            deduplication_id(page),
            FlowControl(key=FLOW_CONTROL_KEY, parallelism=chains),
        )

    async def publish_snapshot(self, part: Snapshot) -> None:
        """Publish a part of a snapshot; QStash delivers one at a time, and drops repeats as above.

        The pages of a run do not wait for it.
        """
        await self._publish(
            part, deduplication_id(part), FlowControl(key=SNAPSHOT_KEY, parallelism=1)
        )

    async def publish_start(self) -> str:
        """Publish a start message and return its id."""
        return await self._publish(Start())

    async def close(self) -> None:
        """Close the connections; the next call opens new ones."""
        client, self._client = self._client, None
        if client:
            await disconnect_async(client)

    async def _publish(
        self,
        message: Message,
        name: str | None = None,
        flow_control: FlowControl | None = None,
    ) -> str:
        settings = self._settings
        with calling(settings.token, settings.bypass):
            async with asyncio.timeout(self._seconds):
                published = await self._connected().message.publish(
                    url=destination(settings.app_url),
                    body=encode(message),
                    deduplication_id=name,
                    flow_control=flow_control,
                    **delivery(settings),
                )
        return message_id(published)

    def _connected(self) -> "AsyncQStash":
        # a client takes 36 ms to make, and a running loop
        if self._client is None:
            settings = self._settings
            self._client = connect_async(settings.url, settings.token, self._seconds)
        return self._client
