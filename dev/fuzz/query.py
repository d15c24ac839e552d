"""Queries: each field is within its bounds or named as wrong, and nothing else ever leaves."""

import math
from collections.abc import Callable
from datetime import timedelta
from fractions import Fraction
from typing import Any

from starlette.requests import Request

from dev.fuzz.bodies import is_time
from lib.errors import Invalid
from lib.web import fields

_DIGITS = frozenset("0123456789")
KNOWN = ("limit", "diversity", "since", "topics", "exclude_seen")


def check(data: bytes) -> None:
    """Read `data` as a query, and each of its fields with our reader and by hand."""
    scope = {
        "type": "http",
        "query_string": data,
        "headers": [],
        "path_params": {"id": _text(data)},
    }
    request = Request(scope)
    given = request.query_params
    names = [name for name, _ in given.multi_items()]
    _agree(
        lambda: fields.only(request, KNOWN),
        set(names) <= set(KNOWN) and len(names) == len(set(names)),
    )
    _agree(lambda: fields.id_in_path(request, "id"), is_id(_text(data)))
    limit = given.get("limit")
    _agree(lambda: fields.whole(request, "limit", 1, 100, 20), limit is None or _is_whole(limit))
    switch = given.get("exclude_seen")
    _agree(lambda: fields.switch(request, "exclude_seen", default=True), switch in {None, "0", "1"})
    since = given.get("since")
    found = _agree(lambda: fields.moment(request, "since"), since is None or is_time(since))
    if found is not None and found.utcoffset() != timedelta(0):
        raise AssertionError(f"expected a time in UTC, got {found}")
    _words(request, given.get("topics"))
    _fraction(request, given.get("diversity"))


def is_id(text: str) -> bool:
    """Whether a text is 8-4-4-4-12 digits of 16."""
    parts = text.split("-")
    digits = _DIGITS | set("abcdefABCDEF")
    return [len(part) for part in parts] == [8, 4, 4, 4, 12] and set("".join(parts)) <= digits


def _agree(read: Callable[[], Any], wanted: bool) -> Any:  # noqa: FBT001  # what is by hand
    try:
        value = read()
    except Invalid as error:
        if wanted:
            raise AssertionError(f"refused, and by hand it is fine: {error}") from None
        return None
    if not wanted:
        raise AssertionError(f"read {value!r}, and by hand it is none")
    return value


def _is_whole(text: str) -> bool:
    if not text or not set(text) <= _DIGITS or len(text) > 9:  # noqa: PLR2004  # as fields has it
        return False
    return 1 <= int(text) <= 100  # noqa: PLR2004  # the bounds above


def _words(request: Request, text: str | None) -> None:
    parts = [] if text is None else text.split(",")
    fine = all(parts) and len(set(parts)) <= 3 and "\0" not in (text or "")  # noqa: PLR2004  # below
    found = _agree(lambda: fields.words(request, "topics", 3), fine)
    if found is not None and (set(found) != set(parts) or len(found) != len(set(parts))):
        raise AssertionError(f"read {found} of {text!r}")


def _fraction(request: Request, text: str | None) -> None:
    try:
        found = fields.fraction(request, "diversity", 0.5)
    except Invalid:
        return
    if not 0 <= found <= 1 or (text is not None and not set(text) <= _DIGITS | set("+-.eE")):
        raise AssertionError(f"read {found} of {text!r}")
    if text is not None and "e" not in text.lower() and not math.isclose(found, Fraction(text)):
        raise AssertionError(f"read {found} of {text!r}")


def _text(data: bytes) -> str:
    return data.decode("latin-1")
