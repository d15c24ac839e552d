"""What QStash keeps of ours: the schedule, and the messages that it gave up."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from qstash.errors import QStashError

from lib.qstash.connection import calling, connect_async, disconnect_async, missing
from lib.qstash.dead_letters import DeadLetters
from lib.qstash.delivery import SCHEDULE_ID
from lib.settings import QueueSettings

if TYPE_CHECKING:
    from qstash import AsyncQStash

SECONDS = 2.0

MOST = 100
"""So many dead letters are counted."""


@dataclass(frozen=True)
class Ticking:
    """The schedule: when its last message was published, and when its next one will be."""

    cron: str
    paused: bool
    last: datetime | None
    next: datetime | None


class Account:
    """Asks within `seconds` or raises Unavailable; belongs to one event loop."""

    def __init__(self, settings: QueueSettings, seconds: float = SECONDS) -> None:
        self._settings = settings
        self._seconds = seconds
        self._client: AsyncQStash | None = None

    async def ticking(self) -> Ticking | None:
        """Return the schedule; None if there is none."""
        with calling(self._settings.token):
            try:
                async with asyncio.timeout(self._seconds):
                    found = await self._connected().schedule.get(SCHEDULE_ID)
            except QStashError as error:
                if missing(error):
                    return None
                raise
            return Ticking(
                found.cron,
                found.paused,
                _moment(found.last_schedule_time),
                _moment(found.next_schedule_time),
            )

    async def dead_letters(self) -> int:
        """Return how many messages of ours were given up and are still kept, up to MOST."""
        with calling(self._settings.token):
            async with asyncio.timeout(self._seconds):
                return await DeadLetters(self._connected(), self._settings).count(MOST)

    async def close(self) -> None:
        """Close the connections; the next call opens new ones."""
        client, self._client = self._client, None
        if client:
            await disconnect_async(client)

    def _connected(self) -> "AsyncQStash":
        if self._client is None:
            self._client = connect_async(self._settings.url, self._settings.token, self._seconds)
        return self._client


def _moment(milliseconds: int | None) -> datetime | None:
    return (milliseconds and datetime.fromtimestamp(milliseconds / 1000, UTC)) or None
