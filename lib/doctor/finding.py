"""What one check found."""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How it stands: WRONG loses or harms something, LOOK may be meant so."""

    OK = "ok"
    LOOK = "look"
    WRONG = "wrong"
    UNCHECKED = "-"


@dataclass(frozen=True)
class Finding:
    """What a check found, in one line, and the remedy: what to type or to do."""

    check: str
    state: State
    said: str
    remedy: str = ""


@dataclass(frozen=True)
class Verdict:
    """A finding before it has its check's name."""

    state: State
    said: str
    remedy: str = ""

    def of(self, check: str) -> Finding:
        return Finding(check, self.state, self.said, self.remedy)


def ok(said: str) -> Verdict:
    return Verdict(State.OK, said)


def look(said: str, remedy: str) -> Verdict:
    return Verdict(State.LOOK, said, remedy)


def wrong(said: str, remedy: str) -> Verdict:
    return Verdict(State.WRONG, said, remedy)
