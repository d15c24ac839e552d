"""Taking a snapshot: a message a part, and the manifest once every part is there."""

import asyncio
from dataclasses import dataclass
from itertools import batched
from uuid import UUID

from lib.batch.page import known_run
from lib.errors import Malformed, Unavailable
from lib.qstash.message import Snapshot
from lib.qstash.queue import Queue
from lib.snapshot.bucket import AT_ONCE, Bucket, Stored
from lib.snapshot.manifest import Entry, Manifest, Name
from lib.snapshot.part import encode
from lib.snapshot.shelf import clear
from lib.store import runs, snapshots
from lib.store.database import Database
from lib.store.snapshots import Part

USERS = 5000
"""A part's users: 8 MB, and more where they have several interests."""


@dataclass(frozen=True)
class Taken:
    """What one delivery came to: the users of its part, the part published, whether all is there.

    `cleared`: snapshots deleted because of their age.
    """

    users: int = 0
    next: int | None = None
    complete: bool = False
    cleared: int = 0


async def begin_snapshot(database: Database, queue: Queue, run: UUID) -> None:
    """Publish the first part of a run's snapshot, if the run has come to its end.

    Whoever finds it so does; QStash drops the repeats. Raises Unavailable.
    """
    async with database.connection() as connection:
        completed = await snapshots.completed(connection, run)
    if completed:
        await queue.publish_snapshot(Snapshot(run, 0))


async def take_part(
    database: Database, queue: Queue, bucket: Bucket, message: Snapshot, users: int = USERS
) -> Taken | None:
    """Store a part, and publish the next one or write the manifest; None if all is there already.

    A part that is there stays as it is, whoever wrote it: so every repeat, early, late or at once,
    goes on from the same users. Raises Malformed for a run that never was, and Unavailable.
    """
    async with database.connection() as connection:
        run = await known_run(connection, message.run)
        now = await runs.clock(connection)
    name, number = Name.of(run), message.page
    if await bucket.look(name.manifest):
        return None
    cleared = await clear(bucket, now) if number == 0 else 0
    stored = await bucket.look(name.part(number))
    if stored is None:
        after = await _last_user(bucket, name, number - 1) if number else None
        async with database.connection() as connection:
            part = await snapshots.read_part(connection, after, users)
        data = await asyncio.to_thread(encode, part)
        stored = await bucket.put(name.part(number), data, _notes(part, users))
    entry = _entry(stored)
    if stored.notes["more"] == "yes":
        await queue.publish_snapshot(Snapshot(message.run, number + 1))
        return Taken(entry.users, number + 1, cleared=cleared)
    manifest = Manifest(name, tuple(await _entries(bucket, name, number)))
    manifest.check()
    await bucket.put(name.manifest, manifest.encode(), {})
    return Taken(entry.users, complete=True, cleared=cleared)


async def _last_user(bucket: Bucket, name: Name, number: int) -> UUID | None:
    stored = await bucket.look(name.part(number))
    if stored is None:
        raise Malformed(f"expected {name.part(number)} to be there before the next part")
    return _entry(stored).last


async def _entries(bucket: Bucket, name: Name, last: int) -> list[Entry]:
    """Return what S3 has of every part up to the last one."""
    entries: list[Entry] = []
    for numbers in batched(range(last + 1), AT_ONCE):
        found = await asyncio.gather(*(bucket.look(name.part(number)) for number in numbers))
        entries += [_entry(stored) for stored in found if stored]
    if len(entries) <= last:
        raise Unavailable(f"s3: expected {last + 1} parts of {name}, got {len(entries)}")
    return entries


def _notes(part: Part, limit: int) -> dict[str, str]:
    """Return what stands beside a part, for whoever goes on behind it."""
    notes = {"users": str(len(part.users)), "more": "yes" if len(part.users) == limit else "no"}
    if part.users:
        notes |= {"first": str(part.users[0]), "last": str(part.users[-1])}
    return notes


def _entry(stored: Stored) -> Entry:
    notes = stored.notes
    return Entry(
        int(notes["users"]),
        UUID(notes["first"]) if "first" in notes else None,
        UUID(notes["last"]) if "last" in notes else None,
        stored.bytes,
        stored.sha256,
    )
