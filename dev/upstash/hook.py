"""What a test sees of a request to Upstash's stand-in, and what it can do to it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum


@dataclass
class Request:
    """What came and, once it is answered, with which status (None: not yet, or cut off)."""

    path: str
    commands: list[list[str]]  # empty if it was refused before they were read
    size: int  # bytes of the body
    status: int | None = None


class Stage(Enum):
    ARRIVED = "arrived"  # before the commands are executed
    EXECUTED = "executed"  # after it, before the answer


type Hook = Callable[[Request, Stage], Awaitable[None]]


class Refuse(Exception):
    """Raised by a hook: answer this instead."""

    def __init__(self, status: int, body: str, content_type: str = "application/json") -> None:
        super().__init__(status, body)
        self.status = status
        self.body = body
        self.content_type = content_type


class Drop(Exception):
    """Raised by a hook: cut the connection without an answer."""
