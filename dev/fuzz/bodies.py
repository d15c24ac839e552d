"""Bodies of the platform's requests: what is wrong in one is named, and nothing else leaves."""

import asyncio
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from starlette.requests import Request
from starlette.types import Message

from lib.errors import Invalid
from lib.web import impressions, log
from lib.web.body import read_object

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_TEXTS = ("action_type", "event_id")
MOST_SHOWN = 100

_runner = asyncio.Runner()


def check_log(data: bytes) -> None:
    """Read `data` as one action, as it would stand in a list of them, and judge it by hand."""
    value = _object(data, log.FIELDS)
    if value is None:
        return
    try:
        found = log.parse(value)
    except Invalid as error:
        _named(error)
        found = None
    wanted = _is_action(value)
    if (found is not None) != wanted:
        raise AssertionError(f"read {found}, and by hand it is one: {wanted}")
    if found is not None and (found.user_id, found.post_id) != (
        UUID(value["user_id"]),
        UUID(value["post_id"]),
    ):
        raise AssertionError(f"read {found} of {value}")


def check_impressions(data: bytes) -> None:
    """Read `data` as what was shown, and judge the posts by hand."""
    value = _object(data, impressions.FIELDS)
    if value is None:
        return
    try:
        found: list[UUID] | None = impressions.read_posts(value)
    except Invalid as error:
        _named(error)
        found = None
    listed = value.get("posts")
    fine = isinstance(listed, list) and len(listed) <= MOST_SHOWN and all(map(_is_id, listed))
    wanted = [UUID(post) for post in listed] if fine and listed is not None else None
    if found != wanted:
        raise AssertionError(f"read {found}, and by hand {wanted}")


def _object(data: bytes, known: tuple[str, ...]) -> dict[str, Any] | None:
    try:
        value = _runner.run(read_object(_request(data), impressions.LONGEST_BODY, known))
    except Invalid as error:
        _named(error)
        return None
    # a number of too many digits is a fraction to one reader and none to another
    if json.loads(data, parse_int=float) != json.loads(json.dumps(value), parse_int=float):
        raise AssertionError(f"two readers, two values: {value}")
    return value


def _request(data: bytes) -> Request:
    async def receive() -> Message:
        return {"type": "http.request", "body": data, "more_body": False}

    return Request({"type": "http", "headers": []}, receive)


def _named(error: Invalid) -> None:
    if str(error) != f"{error.field} must be {error.rule}" or not error.rule:
        raise AssertionError(f"expected a field and a rule, got {error}")


def _is_action(value: dict[str, Any]) -> bool:
    optional = {"created_at", "event_id", "rec_id"}
    needed = {"user_id", "post_id", "action_type"} | (optional & value.keys())
    return all(_is_fine(name, value.get(name)) for name in needed)


def _is_fine(name: str, value: object) -> bool:
    if name in _TEXTS:
        return isinstance(value, str)
    return is_time(value) if name == "created_at" else _is_id(value)


def _is_id(value: object) -> bool:
    return isinstance(value, str) and _UUID.fullmatch(value) is not None


def is_time(value: object) -> bool:
    """Whether a value spells a time as RFC 3339 has it, which also is one in UTC."""
    if not isinstance(value, str):
        return False
    spelt = re.fullmatch(
        r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})(\.[0-9]+)?"
        r"([Zz]|[+-]([0-9]{2}):([0-9]{2}))",
        value,
    )
    if not spelt:
        return False
    year, month, day, hour, minute, second = (int(part) for part in spelt.groups()[:6])
    hours, minutes = int(spelt[9] or 0), int(spelt[10] or 0)
    ahead = timedelta(hours=hours, minutes=minutes)
    try:
        # the clock's fields, and then the same instant on the clock of UTC
        time = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
        time - ahead if "+" in value else time + ahead
    except (ValueError, OverflowError):
        return False
    return hours < 24 and minutes < 60  # noqa: PLR2004  # as clocks have it
