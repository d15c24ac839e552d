"""Messages and what became of them."""

import uuid
from dataclasses import dataclass
from enum import Enum

from dev.qstash.letter import Headers, Letter


class State(Enum):
    """The states of the real API's events; a message is in all but ERROR."""

    CREATED = "CREATED"
    ACTIVE = "ACTIVE"
    RETRY = "RETRY"
    ERROR = "ERROR"
    DELIVERED = "DELIVERED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


ENDED = (State.DELIVERED, State.FAILED, State.CANCELLED)


@dataclass(eq=False)
class Message:
    """A letter that was accepted; times are unix seconds of the stand-in's clock."""

    message_id: str
    letter: Letter
    created: float
    due: float
    schedule_id: str | None = None
    state: State = State.CREATED
    retried: int = 0

    @property
    def url(self) -> str:
        """The destination, as it is signed."""
        return self.letter.url

    @property
    def body(self) -> bytes:
        """What is delivered."""
        return self.letter.body


def new_message(letter: Letter, now: float, schedule_id: str | None = None) -> Message:
    """Return a message for `letter` that is due when the letter says."""
    due = now + letter.delay if letter.not_before is None else max(now, letter.not_before)
    return Message(f"msg_{uuid.uuid4().hex}", letter, now, due, schedule_id)


@dataclass(frozen=True)
class Delivery:
    """One attempt: `attempt` counts from 1; `status` is None if no answer came, `error` says why.

    `headers` are those sent. `started` and `finished` are seconds of the stand-in's clock.
    """

    message_id: str
    url: str
    body: bytes
    headers: Headers
    attempt: int
    status: int | None
    response_headers: Headers
    response_body: bytes
    error: str | None
    started: float
    finished: float


@dataclass(frozen=True)
class DeadLetter:
    """A message that failed for good, with its last delivery."""

    dlq_id: str
    message: Message
    delivery: Delivery


@dataclass(frozen=True)
class Event:
    """What happened to a message; `due` is its next delivery, if one is planned."""

    time: float
    message: Message
    state: State
    delivery: Delivery | None = None
    due: float | None = None
