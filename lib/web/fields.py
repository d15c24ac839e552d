"""What a request's address asks for, checked field by field; each raises Invalid."""

import re
from collections.abc import Collection
from datetime import UTC, datetime
from uuid import UUID

from starlette.requests import Request

from lib.errors import Invalid

A_UUID = "a UUID"
A_TIME = "a time as RFC 3339 spells it, with its offset"

# Looser than UUID() in nothing: that takes braces, and hyphens anywhere.
SPELT = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")

# Of what fromisoformat() reads, RFC 3339 knows one form: no weeks, no missing hyphens or seconds.
A_MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt]([01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2}(\.[0-9]+)?"
    r"([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
)

# As JSON spells it, where float() also takes words, blanks and underscores.
A_NUMBER = re.compile(r"-?([0-9]{1,30}(\.[0-9]{1,30})?|\.[0-9]{1,30})([eE][+-]?[0-9]{1,3})?")


def only(request: Request, known: Collection[str]) -> None:
    """Refuse a query that has fields nobody knows, or one of them twice."""
    names = [name for name, _ in request.query_params.multi_items()]
    for name in names:
        if name not in known:
            raise Invalid(name, f"one of {', '.join(sorted(known)) or 'none'}")
        if names.count(name) > 1:
            raise Invalid(name, "there once")


def id_in_path(request: Request, name: str) -> UUID:
    """Return the id that the path holds."""
    return as_id(name, request.path_params[name])


def as_id(name: str, value: object) -> UUID:
    """Return the id that is spelt as UUIDs are."""
    if not isinstance(value, str) or not SPELT.fullmatch(value):
        raise Invalid(name, A_UUID)
    return UUID(value)


def whole(request: Request, name: str, low: int, high: int, default: int) -> int:
    """Return a whole number within bounds."""
    text = request.query_params.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 10 and low <= int(text) <= high):  # noqa: PLR2004  # no number of ours is longer
        raise Invalid(name, f"a whole number from {low} to {high}")
    return int(text)


def fraction(request: Request, name: str, default: float) -> float:
    """Return a number from 0 to 1."""
    text = request.query_params.get(name)
    if text is None:
        return default
    number = float(text) if A_NUMBER.fullmatch(text) else -1.0
    if not 0 <= number <= 1:
        raise Invalid(name, "a number from 0 to 1")
    return number


def switch(request: Request, name: str, *, default: bool) -> bool:
    """Return whether something is switched on."""
    text = request.query_params.get(name)
    if text is None:
        return default
    if text not in {"0", "1"}:
        raise Invalid(name, "0 or 1")
    return text == "1"


def moment(request: Request, name: str) -> datetime | None:
    """Return a time; None without one."""
    text = request.query_params.get(name)
    return None if text is None else as_time(name, text)


def as_time(name: str, value: object) -> datetime:
    """Return the time that is spelt as RFC 3339 has it."""
    try:
        if not isinstance(value, str) or not A_MOMENT.fullmatch(value):
            raise ValueError
        # the first and the last hours of all times are none in UTC
        return datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Invalid(name, A_TIME) from None


def words(request: Request, name: str, most: int) -> tuple[str, ...]:
    """Return what stands between the commas, each once; nothing without the field."""
    text = request.query_params.get(name)
    if text is None:
        return ()
    parts = tuple(dict.fromkeys(text.split(",")))
    if "" in parts or len(parts) > most or "\0" in text:
        raise Invalid(name, f"1 to {most} words with commas between them")
    return parts


def prefers_json(request: Request) -> bool:
    """Whether JSON is asked for: it is named as wanted, and a page is not wanted as much."""
    wanted = {"application/json": 0.0, "text/html": 0.0}
    for part in request.headers.get("accept", "").split(","):
        name, *parameters = (one.strip().lower() for one in part.split(";"))
        if name in wanted:
            weights = [one[2:] for one in parameters if one.startswith("q=")]
            weight = float(weights[0]) if weights and A_NUMBER.fullmatch(weights[0]) else 1.0
            wanted[name] = max(wanted[name], weight)
    return wanted["application/json"] > wanted["text/html"]
