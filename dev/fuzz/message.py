"""Bodies of signed requests: each is one message or Malformed, and nothing else ever leaves."""

import base64
import re
from typing import Any
from uuid import UUID

from dev.fuzz.reading import TooDeep, read
from lib.errors import Malformed
from lib.qstash.message import Failure, Message, Page, Snapshot, Start, encode, parse, parse_failure

_RUN = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_LAST = 2**31 - 1


def check(data: bytes) -> None:
    """Read `data` as a message, with our reader and by hand."""
    try:
        found: Message | None = parse(data)
    except Malformed:
        found = None
    _agree(lambda: _message(data), found)
    if found is not None and parse(encode(found).encode()) != found:
        raise AssertionError(f"read otherwise when written: {found}")


def check_failure(data: bytes) -> None:
    """Read `data` as the report of a failure, with our reader and by hand."""
    try:
        found: Failure | None = parse_failure(data)
    except Malformed:
        found = None
    _agree(lambda: _failure(data), found)


def _agree(by_hand: Any, found: object) -> None:
    try:
        wanted = by_hand()
    except ValueError:
        wanted = None
    except TooDeep:
        return
    if wanted != found:
        raise AssertionError(f"read {found}, and by hand {wanted}")


def _message(data: bytes) -> Message:
    if not data:
        return Start()
    match read(data):
        case dict() as fields if not fields:
            return Start()
        case {"run": str(run), "page": int(page), **others} if not others:
            if _RUN.fullmatch(run) and type(page) is int and 0 <= page <= _LAST:
                return Page(UUID(run), page)
        case {"run": str(run), "page": int(page), "job": "snapshot", **others} if not others:
            if _RUN.fullmatch(run) and type(page) is int and 0 <= page <= _LAST:
                return Snapshot(UUID(run), page)
    raise ValueError("no message")


def _failure(data: bytes) -> Failure:
    fields = read(data)
    if not isinstance(fields, dict):
        raise ValueError("no object")  # noqa: TRY004  # of JSON
    source, status = fields.get("sourceBody"), fields.get("status")
    message: Message = Start()
    if source is not None:
        if not isinstance(source, str):
            raise ValueError("no text")
        message = _message(base64.b64decode(source, validate=True))
    if status is not None and (type(status) is not int or not -_LAST <= status <= _LAST):
        raise ValueError("no status")
    return Failure(message, status)
