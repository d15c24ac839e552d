"""What a publish request asks for: what to deliver, where, and how."""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from dev.qstash.destination import check_destination
from dev.qstash.duration import parse_duration
from dev.qstash.errors import Rejected
from dev.qstash.expression import evaluate
from dev.qstash.flow_control import Limits, read_limits
from dev.qstash.retry import DEFAULT_RETRIES

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
MOST_RETRIES = 100
_FORWARD = "upstash-forward-"
_CALLBACK = "upstash-callback"
_FAILURE_CALLBACK = "upstash-failure-callback"
_CALLBACK_SETTINGS = ("method", "timeout", "retries", "retry-delay", "delay")

_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")

type Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Letter:
    """What is delivered: `headers` and `body` as the destination gets them; times in seconds."""

    url: str
    body: bytes
    headers: Headers
    method: str
    retries: int
    retry_delay: str | None
    timeout: float | None
    delay: float
    not_before: float | None
    callback: "Letter | None"
    failure_callback: "Letter | None"
    deduplication: str | None
    limits: Limits | None
    queue: str | None
    label: str | None
    caller_ip: str | None

    def again(self) -> "Letter":
        """Return the letter as it is published anew: at once, whatever it duplicates."""
        return replace(self, delay=0.0, not_before=None, deduplication=None)


def read_letter(
    url: str,
    headers: Iterable[tuple[str, str]],
    body: bytes,
    *,
    queue: str | None = None,
    caller_ip: str | None = None,
) -> Letter:
    """Read a letter from a request's headers (names in any case); Rejected (400) if malformed."""
    pairs = [(name.lower(), value) for name, value in headers]
    given = dict(pairs)
    check_destination(url)
    try:
        letter = Letter(
            url=url,
            body=body,
            headers=_delivered(pairs),
            method=_method(given.get("upstash-method", "POST")),
            retries=_whole("Upstash-Retries", given.get("upstash-retries"), DEFAULT_RETRIES),
            retry_delay=given.get("upstash-retry-delay"),
            timeout=_seconds(given.get("upstash-timeout")),
            delay=_seconds(given.get("upstash-delay")) or 0.0,
            not_before=_moment(given.get("upstash-not-before")),
            callback=None,
            failure_callback=None,
            deduplication=None,
            limits=_limits(given),
            queue=queue,
            label=given.get("upstash-label"),
            caller_ip=caller_ip,
        )
        _check_retries(letter)
    except ValueError as error:
        raise Rejected(400, str(error)) from error
    return replace(
        letter,
        callback=_callback(_CALLBACK, pairs, letter),
        failure_callback=_callback(_FAILURE_CALLBACK, pairs, letter),
        deduplication=_deduplication(given, letter),
    )


def _delivered(pairs: list[tuple[str, str]]) -> Headers:
    forwarded = [
        (_canonical(name.removeprefix(_FORWARD)), value)
        for name, value in pairs
        if name.startswith(_FORWARD) and name != _FORWARD
    ]
    content_type = [
        ("Content-Type", value)
        for name, value in pairs
        if name == "content-type" and "Content-Type" not in dict(forwarded)
    ]
    for name, value in content_type + forwarded:
        if not (_NAME.fullmatch(name) and value.isascii() and value.isprintable()):
            raise ValueError(f"expected printable ASCII in the header {name!r}, got {value[:40]!r}")
    return tuple(content_type + forwarded)


def _canonical(name: str) -> str:
    return "-".join(word.capitalize() for word in name.split("-"))


def _method(text: str) -> str:
    if text.upper() not in METHODS:
        raise ValueError(f"invalid Upstash-Method: expected one of {METHODS}, got {text!r}")
    return text.upper()


def _whole(name: str, text: str | None, default: int) -> int:
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 10):  # noqa: PLR2004  # nine digits fit anywhere
        raise ValueError(f"invalid {name}: expected a whole number, got {text!r}")
    return int(text)


def _seconds(text: str | None) -> float | None:
    return None if text is None else parse_duration(text)


def _moment(text: str | None) -> float | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 12):  # noqa: PLR2004  # unix seconds, not ms
        raise ValueError(f"invalid Upstash-Not-Before: expected unix seconds, got {text!r}")
    return float(text)


def _limits(given: dict[str, str]) -> Limits | None:
    key, value = (given.get(f"upstash-flow-control-{part}") for part in ("key", "value"))
    if key is None and value is None:
        return None
    if not key or not value:
        raise ValueError("expected both Upstash-Flow-Control-Key and Upstash-Flow-Control-Value")
    return read_limits(key, value)


def _check_retries(letter: Letter) -> None:
    if letter.retries > MOST_RETRIES:
        raise ValueError(f"expected at most {MOST_RETRIES} retries, got {letter.retries}")
    if letter.retry_delay is not None:
        for retried in range(max(1, letter.retries)):
            evaluate(letter.retry_delay, retried)


def _callback(prefix: str, pairs: list[tuple[str, str]], source: Letter) -> Letter | None:
    """Read the letter that reports on `source`; it retries as `source` does unless it says how."""
    url = dict(pairs).get(prefix)
    if url is None:
        return None
    asked = [
        (f"upstash-{name.removeprefix(prefix + '-')}", value)
        for name, value in pairs
        if name.startswith(f"{prefix}-forward-")
        or name in [f"{prefix}-{setting}" for setting in _CALLBACK_SETTINGS]
    ]
    inherited = [("content-type", "application/json"), ("upstash-retries", str(source.retries))]
    if source.retry_delay is not None:
        inherited.append(("upstash-retry-delay", source.retry_delay))
    return read_letter(url, inherited + asked, b"", caller_ip=source.caller_ip)


def _deduplication(given: dict[str, str], letter: Letter) -> str | None:
    name = given.get("upstash-deduplication-id")
    if name is not None:
        if ":" in name:
            raise Rejected(400, "DeduplicationId cannot contain ':'")
        return f"id:{name}"
    if given.get("upstash-content-based-deduplication", "").lower() != "true":
        return None
    content = repr((letter.url, letter.body, sorted(letter.headers))).encode()
    return f"content:{hashlib.sha256(content).hexdigest()}"
