"""What a message of ours says, and what QStash says about one that failed."""

import base64
import hashlib
import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from lib.errors import Malformed
from lib.qstash.document import parse_object

LAST_PAGE = 2**31 - 1


@dataclass(frozen=True)
class Start:
    """Plan a run."""


@dataclass(frozen=True)
class Page:
    """Work off one page of a run; pages count from 0 to LAST_PAGE."""

    run: UUID
    page: int


@dataclass(frozen=True)
class Snapshot:
    """Store one part of the snapshot that follows a run; parts count from 0 to LAST_PAGE."""

    run: UUID
    page: int


type Message = Start | Page | Snapshot

SNAPSHOT = "snapshot"


@dataclass(frozen=True)
class Failure:
    """A message all of whose attempts failed, and the last answer's status if there was one."""

    message: Message
    status: int | None


def parse(body: bytes) -> Message:
    """Return the message that `body` says; Malformed unless it says exactly one."""
    fields = _fields(body) if body else {}
    if not fields:
        return Start()
    job = fields.pop("job", None) if fields.get("job") == SNAPSHOT else None
    if fields.keys() != {"run", "page"}:
        raise Malformed("expected an empty object, or one with run, page and a job of ours if any")
    run, page = _uuid(fields["run"]), _whole(fields["page"], "page", 0)
    return Snapshot(run, page) if job else Page(run, page)


def encode(message: Message) -> str:
    """Return the body that says `message`: parse reads it back."""
    match message:
        case Start():
            return "{}"
        case Page() | Snapshot():
            fields = {"run": str(message.run), "page": message.page}
            job = {"job": SNAPSHOT} if isinstance(message, Snapshot) else {}
            return json.dumps({**fields, **job}, separators=(",", ":"))


def deduplication_id(page: Page | Snapshot) -> str:
    """Return 64 hex digits that stand for the page, and for nothing but run, number and job."""
    # whoever publishes a page again must name it as before, or the chain forks
    return hashlib.sha256(encode(page).encode()).hexdigest()


def parse_failure(body: bytes) -> Failure:
    """Return what a failure callback of QStash reports; Malformed unless it is about a message."""
    fields = _fields(body)
    source, status = fields.get("sourceBody"), fields.get("status")
    return Failure(
        parse(_decoded(source)) if source is not None else Start(),
        _whole(status, "status", -LAST_PAGE) if status is not None else None,
    )


def _fields(body: bytes) -> dict[str, Any]:
    try:
        return parse_object(body)
    except ValueError as error:
        raise Malformed(f"expected a JSON object: {error}") from None


def _uuid(value: Any) -> UUID:
    if isinstance(value, str):
        try:
            run = UUID(value)
        except ValueError:
            pass
        else:
            # UUID also reads braces, `urn:uuid:` and capitals
            if str(run) == value:
                return run
    raise Malformed("expected run to be a UUID in lower case with hyphens")


def _whole(value: Any, name: str, least: int) -> int:
    # a bool is an int to Python
    if type(value) is not int or not least <= value <= LAST_PAGE:
        raise Malformed(f"expected {name} to be a whole number from {least} to {LAST_PAGE}")
    return value


def _decoded(source: Any) -> bytes:
    if isinstance(source, str):
        try:
            return base64.b64decode(source, validate=True)
        except ValueError:
            pass
    raise Malformed("expected sourceBody to be base64")
