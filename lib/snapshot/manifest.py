"""What a snapshot is called, and its manifest: which parts it has, and what they must be."""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Self
from uuid import UUID

from lib.errors import Damaged
from lib.qstash.document import parse_object
from lib.store.runs import Run

PREFIX = "snapshots/"
TIME = "%Y%m%dT%H%M%SZ"
NAME = re.compile(r"(\d{8}T\d{6}Z)-([0-9a-f-]{36})")
VERSION = 1


@dataclass(frozen=True, order=True)
class Name:
    """A snapshot's name: the end of its run's window, UTC to the second, and the run's id.

    Not the run's number: a database that is made anew counts from 1 again. Names sort by time.
    """

    taken: datetime
    run: UUID

    @classmethod
    def of(cls, run: Run) -> Self:
        return cls(run.window_end.astimezone(UTC).replace(microsecond=0), UUID(int=run.id.int))

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Return the name that a text spells; None if it spells none."""
        spelt = NAME.fullmatch(text)
        try:
            found = spelt and cls(
                datetime.strptime(spelt[1], TIME).replace(tzinfo=UTC), UUID(spelt[2])
            )
        except ValueError:
            return None
        return found if found and str(found) == text else None

    def __str__(self) -> str:
        return f"{self.taken:{TIME}}-{self.run}"

    @property
    def folder(self) -> str:
        return f"{PREFIX}{self}/"

    @property
    def manifest(self) -> str:
        """The key of the manifest, without which there is no snapshot."""
        return f"{self.folder}manifest.json"

    def part(self, number: int) -> str:
        """Return the key of a part."""
        return f"{self.folder}part-{number:05}.npz"


@dataclass(frozen=True)
class Entry:
    """One part: how many users, from `first` to `last`, in how many bytes; `sha256` in hex."""

    users: int
    first: UUID | None
    last: UUID | None
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """A whole snapshot; every user of it is in one part, in the order of their ids."""

    name: Name
    parts: tuple[Entry, ...]

    @property
    def users(self) -> int:
        return sum(part.users for part in self.parts)

    def encode(self) -> bytes:
        """Return its JSON, the same for the same manifest."""
        fields = {
            "version": VERSION,
            "snapshot": str(self.name),
            "users": self.users,
            "parts": [asdict(part) for part in self.parts],
        }
        return json.dumps(fields, default=str, sort_keys=True, separators=(",", ":")).encode()

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Return the manifest that the bytes say; raise Damaged for any others."""
        try:
            fields = parse_object(data)
            name = Name.parse(fields["snapshot"])
            if name is None or fields["version"] != VERSION:
                raise ValueError("another name or version")
            found = cls(name, tuple(map(_entry, fields["parts"])))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise Damaged(f"expected a manifest: {type(error).__name__}: {error}") from None
        if found.encode() != data:
            raise Damaged("expected a manifest spelt as it was written")
        found.check()
        return found

    def check(self) -> None:
        """Raise Damaged unless the parts follow each other without a user in two."""
        if not self.parts:
            raise Damaged("expected a part at least")
        seen: UUID | None = None
        for part in self.parts:
            if part.users == 0:
                continue
            if part.first is None or part.last is None or part.first > part.last:
                raise Damaged(f"expected users from the first to the last, got {part}")
            if seen is not None and part.first <= seen:
                raise Damaged(f"expected users after {seen}, got {part.first}")
            seen = part.last


def _entry(fields: Mapping[str, Any]) -> Entry:
    first, last = fields["first"], fields["last"]
    return Entry(
        fields["users"],
        None if first is None else UUID(first),
        None if last is None else UUID(last),
        fields["bytes"],
        fields["sha256"],
    )
