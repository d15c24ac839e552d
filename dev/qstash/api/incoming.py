"""What the routes read from a request."""

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from starlette.requests import Request

from dev.qstash.errors import Rejected
from dev.qstash.letter import Letter, read_letter
from dev.qstash.message import Message

if TYPE_CHECKING:
    from collections.abc import Iterable

LONGEST_BODY = 1024 * 1024


async def read_body(request: Request) -> bytes:
    """Return the body; Rejected (413) if it is over 1 MB."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > LONGEST_BODY:
            raise Rejected(413, f"message is too large: expected at most {LONGEST_BODY} bytes")
    return body


async def read_json(request: Request) -> Any:
    """Return the body's JSON, or None if it is empty; Rejected (400) if it is not JSON."""
    body = await read_body(request)
    try:
        return json.loads(body) if body else None
    except (ValueError, RecursionError) as error:
        raise Rejected(400, f"expected JSON: {error}") from error


async def read_published(request: Request, prefix: str) -> Letter:
    """Return the letter whose destination is what follows `prefix` in the request's target."""
    return read_letter(
        _target(request).removeprefix(prefix),
        request.headers.items(),
        await read_body(request),
        caller_ip=caller_ip(request),
    )


async def read_enqueued(request: Request, prefix: str) -> Letter:
    """Return the letter of a target with a queue's name before the destination."""
    queue, _, url = _target(request).removeprefix(prefix).partition("/")
    return read_letter(
        url,
        request.headers.items(),
        await read_body(request),
        queue=unquote(queue),
        caller_ip=caller_ip(request),
    )


def caller_ip(request: Request) -> str | None:
    """Return the address the request came from."""
    return request.client.host if request.client else None


def _target(request: Request) -> str:
    # the decoded path has lost what tells a destination's own `%2F` and `?` from others
    path: bytes = request.scope["raw_path"]
    query: bytes = request.scope["query_string"]
    return (path + b"?" + query if query else path).decode("latin-1")


def page[T](request: Request, entries: list[T], most: int) -> tuple[list[T], dict[str, str]]:
    """Return the entries from `cursor` on, at most `count`, and the cursor that follows, if any."""
    start = _number(request, "cursor", 0)
    end = start + max(1, min(most, _number(request, "count", most)))
    return entries[start:end], ({"cursor": str(end)} if end < len(entries) else {})


def matches(request: Request, message: Message, milliseconds: float) -> bool:
    """Tell whether a message, or what happened to it at a time, passes the request's filters."""
    letter, query = message.letter, request.query_params
    values: dict[str, Iterable[str | None]] = {
        "messageId": [message.message_id],
        "messageIds": [message.message_id],
        "url": [letter.url],
        "topicName": [],
        "scheduleId": [message.schedule_id],
        "queueName": [letter.queue],
        "label": (letter.label or "").split(","),
        "callerIp": [letter.caller_ip],
        "flowControlKey": [letter.limits.key if letter.limits else None],
    }
    asked = {name: query.getlist(name) for name in values if name in query}
    return (
        all(any(value in wanted for value in values[name]) for name, wanted in asked.items())
        and _number(request, "fromDate", 0) <= milliseconds
        and milliseconds <= _number(request, "toDate", 10**15)
    )


def _number(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 15):  # noqa: PLR2004  # unix ms fit
        raise Rejected(400, f"invalid {name}: expected a whole number, got {text!r}")
    return int(text)
