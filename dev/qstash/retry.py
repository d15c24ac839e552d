"""When a failed message is tried again."""

import math
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from dev.qstash.duration import parse_duration
from dev.qstash.expression import evaluate

DAY = 86400.0
DEFAULT_RETRIES = 3
NON_RETRYABLE = 489
# in this order: the first that is present and well formed counts
_RESETS = (
    "retry-after",
    "x-ratelimit-reset",
    "x-ratelimit-reset-requests",
    "x-ratelimit-reset-tokens",
)


def succeeded(status: int | None) -> bool:
    """Tell whether an answer ends a message well; None is no answer at all."""
    return status is not None and 200 <= status < 300  # noqa: PLR2004  # the range is its name


def refused(status: int | None, headers: Mapping[str, str]) -> bool:
    """Tell whether the answer (header names in lower case) asks for no further attempt."""
    says = headers.get("upstash-nonretryable-error", "")
    return status == NON_RETRYABLE and says.lower() == "true"


def backoff(retry: int) -> float:
    """Return the default seconds before a message's `retry`-th retry, from 1: 12 s, 2.5 min, ..."""
    return min(DAY, math.exp(min(2.5 * retry, 12.0)))


def delay(retried: int, expression: str | None, headers: Mapping[str, str], now: float) -> float:
    """Return the seconds to wait before the next retry: 0 to a day.

    `retried` retries were done; `expression` is the message's own, in ms; what the answer's headers
    (names in lower case) ask for overrides both. `now` is what a date there is compared with.
    """
    for name in _RESETS:
        asked = _reset(headers.get(name, ""), now)
        if asked is not None:
            return min(DAY, max(0.0, asked))
    if expression is not None:
        return min(DAY, evaluate(expression, retried) / 1000)
    return backoff(retried + 1)


def _reset(value: str, now: float) -> float | None:
    """Read seconds, a duration or an HTTP date; None if it is none of them."""
    value = value.strip()
    if value.isascii() and value.isdigit():
        return float(value[:10])
    try:
        return parse_duration(value)
    except ValueError:
        pass
    try:
        return parsedate_to_datetime(value).timestamp() - now
    except ValueError:
        return None
