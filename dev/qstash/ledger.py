"""All messages, what happened to them, and the dead ones."""

import uuid
from collections import deque

from dev.qstash.clock import Clock
from dev.qstash.errors import Rejected
from dev.qstash.letter import Letter
from dev.qstash.message import DeadLetter, Delivery, Event, Message, State, new_message
from dev.qstash.outbox import Outbox, Slot

MOST_MESSAGES = 100_000


class Ledger:
    """Keeps messages; each one's first delivery waits in the outbox `copies` times."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.copies = 1
        self.outbox = Outbox()
        self.messages: list[Message] = []
        self.deliveries: list[Delivery] = []
        self.dead_letters: list[DeadLetter] = []
        self.events: deque[Event] = deque(maxlen=MOST_MESSAGES)
        self._by_id: dict[str, Message] = {}

    def message(self, message_id: str) -> Message:
        """Return a message; Rejected (404) if there never was such a one."""
        if message_id not in self._by_id:
            raise Rejected(404, f"message {message_id} not found")
        return self._by_id[message_id]

    def dead_letter(self, dlq_id: str) -> DeadLetter:
        """Return a dead letter; Rejected (404) if it is not in the DLQ."""
        for dead in self.dead_letters:
            if dead.dlq_id == dlq_id:
                return dead
        raise Rejected(404, f"message {dlq_id} not found in the DLQ")

    def write(self, letter: Letter, schedule_id: str | None = None) -> Message:
        """Make a message of a letter and keep it."""
        message = new_message(letter, self.clock.now(), schedule_id)
        self.keep(message)
        return message

    def keep(self, message: Message) -> None:
        """Keep a message and let it wait for its delivery; Rejected (429) if there are too many."""
        if len(self.messages) >= MOST_MESSAGES:
            raise Rejected(429, f"the stand-in keeps at most {MOST_MESSAGES} messages")
        self.messages.append(message)
        self._by_id[message.message_id] = message
        if message.letter.limits:
            self.outbox.flow(message.letter.limits.key).configure(message.letter.limits)
        for copy in range(self.copies):
            self.outbox.add(Slot(message, message.due, duplicate=copy > 0))
        self._note(message, State.CREATED, due=message.due)

    def activate(self, message: Message) -> None:
        """Record that a message's next attempt is under way."""
        message.state = State.ACTIVE
        self._note(message, State.ACTIVE)

    def succeed(self, message: Message, delivery: Delivery) -> None:
        """Record that a message arrived."""
        message.state = State.DELIVERED
        self._note(message, State.DELIVERED, delivery)

    def postpone(self, message: Message, delivery: Delivery, seconds: float) -> None:
        """Record a failed attempt; another one follows after `seconds`."""
        self._note(message, State.ERROR, delivery)
        due = self.clock.now() + seconds
        message.state, message.retried = State.RETRY, delivery.attempt
        self.outbox.add(Slot(message, due, retried=message.retried))
        self._note(message, State.RETRY, delivery, due)

    def bury(self, message: Message, delivery: Delivery) -> DeadLetter:
        """Record a failed attempt that was the last; the message goes to the DLQ."""
        self._note(message, State.ERROR, delivery)
        message.state = State.FAILED
        self._note(message, State.FAILED, delivery)
        dead = DeadLetter(f"dlq_{uuid.uuid4().hex}", message, delivery)
        self.dead_letters.append(dead)
        return dead

    def revive(self, dead: DeadLetter) -> Message:
        """Publish a dead letter anew, as another message, and take it out of the DLQ."""
        message = self.write(dead.message.letter.again())
        self.dead_letters.remove(dead)
        return message

    def cancel(self, message: Message) -> None:
        """Stop delivering a message; an attempt under way goes on."""
        message.state = State.CANCELLED
        self.outbox.cancel(message)
        self._note(message, State.CANCELLED)

    def _note(
        self,
        message: Message,
        state: State,
        delivery: Delivery | None = None,
        due: float | None = None,
    ) -> None:
        self.events.append(Event(self.clock.now(), message, state, delivery, due))
