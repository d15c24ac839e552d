"""Flow control: how many messages of one key are delivered at once, and per period."""

import math
from dataclasses import dataclass

from dev.qstash.duration import parse_duration

WEEK = 7 * 86400


@dataclass(frozen=True)
class Limits:
    """What a message asks for; None is no limit, `period` is in seconds."""

    key: str
    parallelism: int | None = None
    rate: int | None = None
    period: int = 1


def read_limits(key: str, value: str) -> Limits:
    """Read `parallelism=2, rate=3, period=60s`; ValueError if it is not so or limits nothing."""
    asked: dict[str, int] = {}
    for part in value.split(","):
        name, _, text = part.strip().partition("=")
        if name in asked or name not in ("parallelism", "rate", "period"):
            raise ValueError(f"expected parallelism, rate, period at most once, got {value!r}")
        asked[name] = _period(text) if name == "period" else _count(text)
    if "parallelism" not in asked and "rate" not in asked:
        raise ValueError(f"expected a parallelism or a rate, got {value!r}")
    return Limits(key, **asked)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) > 0):  # noqa: PLR2004  # nine digits fit anywhere
        raise ValueError(f"expected a whole number above 0, got {text!r}")
    return int(text)


def _period(text: str) -> int:
    seconds = _count(text) if text.isdigit() else int(parse_duration(text))
    if not 1 <= seconds <= WEEK:
        raise ValueError(f"expected a period of 1 s to 7 days, got {text!r}")
    return seconds


@dataclass
class FlowKey:
    """The state of one key; 0 is no limit."""

    key: str
    parallelism: int = 0
    rate: int = 0
    period: int = 1
    paused: bool = False
    pinned_parallelism: bool = False
    pinned_rate: bool = False
    active: int = 0
    count: int = 0
    period_start: float = 0.0

    def configure(self, limits: Limits) -> None:
        """Take over a message's limits, but for what is pinned."""
        if not self.pinned_parallelism:
            self.parallelism = limits.parallelism or 0
        if not self.pinned_rate:
            self.rate, self.period = limits.rate or 0, limits.period

    def opens(self, now: float) -> float:
        """Return when another delivery may start; infinite if something must happen before."""
        if self.paused or (self.parallelism and self.active >= self.parallelism):
            return math.inf
        if self.rate and self.count >= self.rate:
            return max(now, self.period_start + self.period)
        return now

    def start(self, now: float) -> None:
        """Count a delivery that starts."""
        if now >= self.period_start + self.period:
            self.reset(now)
        self.active += 1
        self.count += 1

    def finish(self) -> None:
        """Count a delivery that is over."""
        self.active -= 1

    def reset(self, now: float) -> None:
        """Begin a new period."""
        self.count, self.period_start = 0, now

    def pin(self, limits: Limits) -> None:
        """Set what is asked and keep it whatever messages ask."""
        if limits.parallelism is not None:
            self.parallelism, self.pinned_parallelism = limits.parallelism, True
        if limits.rate is not None:
            self.rate, self.period, self.pinned_rate = limits.rate, limits.period, True
