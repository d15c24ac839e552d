"""Delivering everything that waits, with the waiting left out."""

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any

from dev.qstash.clock import Clock
from dev.qstash.message import Delivery
from dev.qstash.outbox import Outbox, Slot

LONGEST_PAUSE = 0.1


async def pause(outbox: Outbox, now: float, others: list[float]) -> None:
    """Wait until something changes, or is due in the outbox or at one of the other times.

    At most a tenth of a second: the clock may be moved meanwhile.
    """
    times = [at for at, _ in outbox.openings(now)] + others
    seconds = min([LONGEST_PAUSE, *(at - now for at in times if at > now)])
    try:
        await asyncio.wait_for(outbox.changed.wait(), seconds)
    except TimeoutError:
        return


class Drain:
    """One emptying of an outbox, up to a time of its clock and a number of deliveries.

    `deliver` counts a slot as under way when called, and makes the delivery when awaited. With
    `shuffle` the slots go one by one in random order.
    """

    def __init__(
        self,
        outbox: Outbox,
        clock: Clock,
        deliver: Callable[[Slot], Coroutine[Any, Any, Delivery]],
        shuffle: random.Random | None,
    ) -> None:
        self._outbox = outbox
        self._clock = clock
        self._deliver = deliver
        self._shuffle = shuffle
        self._under_way: set[asyncio.Task[Delivery]] = set()
        self._done: list[Delivery] = []

    async def empty(self, horizon: float, most: int) -> list[Delivery]:
        """Deliver until nothing is left that may start by `horizon`, or `most` deliveries."""
        try:
            while True:
                self._outbox.changed.clear()
                self._collect()
                while len(self._done) + len(self._under_way) < most and (
                    slot := self._pick(horizon)
                ):
                    self._under_way.add(asyncio.create_task(self._deliver(slot)))
                if self._under_way:
                    await pause(self._outbox, self._clock.now(), [])
                elif len(self._done) >= most or not self._jump(horizon):
                    return sorted(self._done, key=lambda delivery: delivery.finished)
        finally:
            for task in self._under_way:
                task.cancel()
            await asyncio.gather(*self._under_way, return_exceptions=True)

    def _collect(self) -> None:
        over = {task for task in self._under_way if task.done()}
        self._under_way -= over
        self._done += [task.result() for task in over]

    def _pick(self, horizon: float) -> Slot | None:
        now = self._clock.now()
        if self._shuffle is None:
            return self._outbox.ready(now)
        openings = [(at, slot) for at, slot in self._outbox.openings(now) if at <= horizon]
        if self._under_way or not openings:
            return None
        at, slot = self._shuffle.choice(openings)
        self._clock.jump(max(0.0, at - now))
        return slot

    def _jump(self, horizon: float) -> bool:
        """Move the clock to when the next slot may start; False if that is past the horizon."""
        now = self._clock.now()
        soonest = min((at for at, _ in self._outbox.openings(now)), default=None)
        if soonest is None or soonest > horizon:
            return False
        self._clock.jump(max(0.0, soonest - now))
        return True
