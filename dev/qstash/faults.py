"""What a hook may raise to make the stand-in misbehave towards a publisher."""

from enum import Enum


class Stage(Enum):
    """How far a publish request has come when the hook is called."""

    ARRIVED = "arrived"
    STORED = "stored"


class Refuse(Exception):
    """The request is answered with this status and, as it stands, this body."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__(f"{status} {body}")
        self.status = status
        self.body = body


class Hang(Exception):
    """The request is never answered."""


class Drop(Exception):
    """The connection is cut without an answer."""
