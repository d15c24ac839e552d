"""Delivering one message, and what the answer means for it."""

import time
from collections.abc import Awaitable, Callable

from dev.qstash import courier, retry
from dev.qstash.callback import report
from dev.qstash.ledger import Ledger
from dev.qstash.letter import Headers
from dev.qstash.message import Delivery, State
from dev.qstash.outbox import Slot
from dev.qstash.signature import SigningKeys

type Hook = Callable[[Delivery], Awaitable[None]]


class Postman:
    """Delivers what the ledger keeps; `timeout` bounds one delivery, in seconds."""

    def __init__(self, ledger: Ledger, keys: SigningKeys, timeout: float) -> None:
        self._ledger = ledger
        self._keys = keys
        self._timeout = timeout

    def start(self, slot: Slot) -> None:
        """Count a delivery as under way; `finish` must follow."""
        self._ledger.outbox.start(slot, self._ledger.clock.now())
        if not slot.duplicate:
            self._ledger.activate(slot.message)

    async def finish(self, slot: Slot, on_delivered: Hook | None) -> Delivery:
        """Make a started delivery and draw the consequences; one cut short waits again."""
        settled = False
        try:
            delivery = await self._send(slot)
            self._ledger.deliveries.append(delivery)
            if on_delivered and delivery.status is not None:
                await on_delivered(delivery)
            if not slot.duplicate:
                self._settle(slot, delivery)
            settled = True
            return delivery
        finally:
            self._ledger.outbox.finish(slot)
            if not settled and slot.message.state is not State.CANCELLED:
                self._ledger.outbox.add(slot)

    async def _send(self, slot: Slot) -> Delivery:
        letter, clock = slot.message.letter, self._ledger.clock
        headers = self._headers(slot)
        seconds = min(self._timeout, letter.timeout or self._timeout)
        started = clock.now()
        answer = await courier.send(letter.method, letter.url, headers, letter.body, seconds)
        return Delivery(
            message_id=slot.message.message_id,
            url=letter.url,
            body=letter.body,
            headers=headers,
            attempt=slot.retried + 1,
            status=answer.status,
            response_headers=answer.headers,
            response_body=answer.body,
            error=answer.error,
            started=started,
            finished=clock.now(),
        )

    def _headers(self, slot: Slot) -> Headers:
        message, letter = slot.message, slot.message.letter
        own = {
            "User-Agent": "Upstash-QStash",
            "Upstash-Signature": self._keys.sign(letter.url, letter.body, time.time()),
            "Upstash-Message-Id": message.message_id,
            "Upstash-Retried": str(slot.retried),
            "Upstash-Schedule-Id": message.schedule_id,
            "Upstash-Caller-Ip": letter.caller_ip,
        }
        return (*letter.headers, *((name, value) for name, value in own.items() if value))

    def _settle(self, slot: Slot, delivery: Delivery) -> None:
        message, letter = slot.message, slot.message.letter
        answered = {name.lower(): value for name, value in delivery.response_headers}
        dead = None
        if retry.succeeded(delivery.status):
            self._ledger.succeed(message, delivery)
        elif message.state is State.CANCELLED:
            pass  # while it was under way: it is neither tried again nor dead
        elif slot.retried >= letter.retries or retry.refused(delivery.status, answered):
            dead = self._ledger.bury(message, delivery)
        else:
            # a date in the answer is the destination's, which goes by the real time
            wait = retry.delay(slot.retried, letter.retry_delay, answered, time.time())
            self._ledger.postpone(message, delivery, wait)
        if letter.callback:
            self._ledger.write(report(letter.callback, message, delivery))
        if letter.failure_callback and dead:
            self._ledger.write(report(letter.failure_callback, message, delivery, dead.dlq_id))
