"""What waits to be delivered, in due order, and what flow control lets go."""

import asyncio
import bisect
import math
from collections.abc import Iterator
from dataclasses import dataclass

from dev.qstash.flow_control import FlowKey
from dev.qstash.message import Message

PARALLELISM = 100


@dataclass(eq=False)
class Slot:
    """One delivery to come, after `retried` others; a `duplicate` decides nothing."""

    message: Message
    due: float
    retried: int = 0
    duplicate: bool = False


class Outbox:
    """The deliveries to come and the number of those under way, in all and per flow-control key.

    `changed` is set whenever something else may start.
    """

    def __init__(self) -> None:
        self.active = 0
        self.flows: dict[str, FlowKey] = {}
        self.changed = asyncio.Event()
        self._slots: list[Slot] = []

    def __iter__(self) -> Iterator[Slot]:
        return iter(self._slots)

    def add(self, slot: Slot) -> None:
        """Let a delivery wait for its time."""
        bisect.insort(self._slots, slot, key=lambda waiting: waiting.due)
        self.changed.set()

    def find(self, message: Message) -> Slot | None:
        """Return the message's next delivery, rather than a duplicate of it."""
        slots = [slot for slot in self._slots if slot.message is message]
        return min(slots, key=lambda slot: slot.duplicate, default=None)

    def cancel(self, message: Message) -> None:
        """Take all of the message's deliveries out."""
        self._slots = [slot for slot in self._slots if slot.message is not message]

    def flow(self, key: str) -> FlowKey:
        """Return the state of a flow-control key, which begins here if it is new."""
        return self.flows.setdefault(key, FlowKey(key))

    def waiting(self, key: str, now: float) -> int:
        """Return how many due deliveries of a flow-control key wait."""
        limits = [slot.message.letter.limits for slot in self._slots if slot.due <= now]
        return sum(limit is not None and limit.key == key for limit in limits)

    def ready(self, now: float) -> Slot | None:
        """Return the first delivery that may start now."""
        for slot in self._slots:
            if slot.due > now:
                return None
            if self._opens(slot, now) <= now:
                return slot
        return None

    def openings(self, now: float) -> list[tuple[float, Slot]]:
        """Return what may start without anything else happening before, each with its time."""
        times = [(self._opens(slot, now), slot) for slot in self._slots]
        return [(time, slot) for time, slot in times if time < math.inf]

    def start(self, slot: Slot, now: float) -> None:
        """Take a delivery out and count it as under way."""
        self._slots.remove(slot)
        self.active += 1
        if slot.message.letter.limits:
            self.flow(slot.message.letter.limits.key).start(now)

    def finish(self, slot: Slot) -> None:
        """Count a delivery that was under way as over."""
        self.active -= 1
        if slot.message.letter.limits:
            self.flow(slot.message.letter.limits.key).finish()
        self.changed.set()

    def _opens(self, slot: Slot, now: float) -> float:
        if self.active >= PARALLELISM:
            return math.inf
        limits = slot.message.letter.limits
        return max(slot.due, self.flow(limits.key).opens(now)) if limits else slot.due
