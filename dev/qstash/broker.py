"""The stand-in as its users hold it: the REST API's application and what delivers."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any

from dev.qstash.api.app import create_app
from dev.qstash.clock import Clock
from dev.qstash.deduplication import Deduplication
from dev.qstash.drain import Drain, pause
from dev.qstash.faults import Stage
from dev.qstash.ledger import Ledger
from dev.qstash.letter import Letter
from dev.qstash.message import DeadLetter, Delivery, Message, new_message
from dev.qstash.outbox import Slot
from dev.qstash.postman import Postman
from dev.qstash.signature import SigningKeys
from dev.qstash.timetable import Timetable

if TYPE_CHECKING:
    import random

    from starlette.types import ASGIApp

# the default user of `qstash dev`; public constants
DEV_TOKEN = "eyJVc2VySUQiOiJkZWZhdWx0VXNlciIsIlBhc3N3b3JkIjoiZGVmYXVsdFBhc3N3b3JkIn0="
DEV_CURRENT_KEY = "sig_7kYjw48mhY7kAjqNGcy6cr29RJ6r"
DEV_NEXT_KEY = "sig_5ZB6DVzB1wjE8S6rZ7eenA8Pdnhs"


class Broker:
    """A stand-in for QStash: `app` takes messages, `run` or `drain` delivers them.

    Delays, retries, deduplication and schedules follow `clock`; signatures follow the real time,
    by which they are checked. `timeout` bounds one delivery, in seconds.

    `on_publish` is called as a publish request arrives and once its message is stored; it may raise
    Refuse, Hang or Drop. `on_delivered` is called with each answer before it counts.
    """

    def __init__(
        self,
        *,
        token: str = DEV_TOKEN,
        current_key: str = DEV_CURRENT_KEY,
        next_key: str = DEV_NEXT_KEY,
        clock: Clock | None = None,
        timeout: float = 900.0,
    ) -> None:
        self.token = token
        self.keys = SigningKeys(current_key, next_key)
        self.clock = clock or Clock()
        self.shuffle: random.Random | None = None
        self.on_publish: Callable[[Message, Stage], Awaitable[None]] | None = None
        self.on_delivered: Callable[[Delivery], Awaitable[None]] | None = None
        self.ledger = Ledger(self.clock)
        self.timetable = Timetable(self.ledger)
        self._deduplication = Deduplication()
        self._postman = Postman(self.ledger, self.keys, timeout)
        self.app: ASGIApp = create_app(self)

    @property
    def copies(self) -> int:
        """How many times each message's first attempt is delivered."""
        return self.ledger.copies

    @copies.setter
    def copies(self, number: int) -> None:
        self.ledger.copies = number

    @property
    def messages(self) -> list[Message]:
        """All messages ever stored, in order of publishing."""
        return self.ledger.messages

    @property
    def deliveries(self) -> list[Delivery]:
        """Every attempt, in order of its end."""
        return self.ledger.deliveries

    @property
    def dead_letters(self) -> list[DeadLetter]:
        """The DLQ."""
        return self.ledger.dead_letters

    def pending(self) -> list[Message]:
        """Return the messages that wait for a delivery, in due order."""
        return list(dict.fromkeys(slot.message for slot in self.ledger.outbox))

    async def publish(self, letter: Letter) -> tuple[str, bool]:
        """Take a publisher's letter; return its message's id and whether it is a duplicate."""
        message = new_message(letter, self.clock.now())
        if self.on_publish:
            await self.on_publish(message, Stage.ARRIVED)
        if letter.deduplication is not None:
            now = self.clock.now()
            known = self._deduplication.find(letter.deduplication, now)
            if known is not None:
                return known, True
            self._deduplication.remember(letter.deduplication, message.message_id, now)
        self.ledger.keep(message)
        if self.on_publish:
            await self.on_publish(message, Stage.STORED)
        return message.message_id, False

    async def tick(self, schedule_id: str) -> str:
        """Fire a schedule now, paused or not; return the id of its message."""
        return self.timetable.fire(self.timetable.get(schedule_id)).message_id

    async def run(self) -> None:
        """Deliver what is due and fire the schedules until cancelled."""
        outbox = self.ledger.outbox
        async with asyncio.TaskGroup() as deliveries:
            while True:
                outbox.changed.clear()
                self.timetable.fire_due()
                while slot := outbox.ready(self.clock.now()):
                    deliveries.create_task(self._deliver(slot))
                await pause(outbox, self.clock.now(), self.timetable.next_times())

    async def drain(
        self, limit_seconds: float = 86400, max_deliveries: int = 10_000
    ) -> list[Delivery]:
        """Deliver what is pending in due order until nothing is; return the deliveries.

        Where several are due they go at once, as flow control lets them. While nothing is under way
        or due the clock jumps to the next time, at most `limit_seconds` in all; what is due later
        stays pending, and so does what is left after `max_deliveries`. Schedules do not fire. With
        `shuffle` set, the pending messages go one by one in random order.
        """
        drain = Drain(self.ledger.outbox, self.clock, self._deliver, self.shuffle)
        return await drain.empty(self.clock.now() + limit_seconds, max_deliveries)

    async def deliver(self, message_id: str) -> Delivery:
        """Deliver this message now, past flow control and whatever its state.

        If it is pending this is its next attempt, early; otherwise a late repetition of its last,
        which decides nothing.
        """
        message = self.ledger.message(message_id)
        slot = self.ledger.outbox.find(message)
        if slot is None:
            slot = Slot(message, self.clock.now(), message.retried, duplicate=True)
            self.ledger.outbox.add(slot)
        return await self._deliver(slot)

    def _deliver(self, slot: Slot) -> Coroutine[Any, Any, Delivery]:
        self._postman.start(slot)
        return self._postman.finish(slot, self.on_delivered)
