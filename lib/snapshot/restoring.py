"""Restoring a snapshot: Postgres and Redis filled from it, a part at a time, as often as needed."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

import numpy as np
from asyncpg import ForeignKeyViolationError

from lib.batch.mirror import mirror_into
from lib.cache import Cache
from lib.errors import Damaged, Unavailable
from lib.settings import CacheMode
from lib.snapshot.bucket import Bucket
from lib.snapshot.manifest import Entry, Manifest
from lib.snapshot.part import decode
from lib.store import restores
from lib.store.database import Database
from lib.store.snapshots import Part

SLICE = 500
"""So many users are written in one transaction: erasures wait for it no longer than for a page."""

ROUNDS = 5


@dataclass(frozen=True)
class Restored:
    """How far it is: of so many users so many were written; `strange`: of a mean not our own."""

    parts: int
    users: int
    written: int
    strange: int


async def restore(
    database: Database, cache: Cache | None, mode: CacheMode, bucket: Bucket, manifest: Manifest
) -> AsyncIterator[Restored]:
    """Write back whom the manifest's parts hold, and yield after each part.

    Nobody is written who is gone, was erased since the snapshot or opted out, nor over a vector as
    new; Redis then holds what Postgres does. Whatever interrupts it, it may be repeated. Raises
    Damaged for a part that is missing or not what the manifest says, before any of it is used,
    and Unavailable.
    """
    users, written, strange = 0, 0, 0
    for number, entry in enumerate(manifest.parts):
        part = await _part(bucket, manifest, number, entry)
        async with database.connection() as connection:
            known = await restores.restore_means(connection, part.means)
        fit = np.array([mean is None or mean in known for mean in part.mean_ids], dtype=np.bool_)
        for start in range(0, len(part.users), SLICE):
            chosen = np.zeros(len(part.users), dtype=np.bool_)
            chosen[start : start + SLICE] = True
            written += await _write(database, part.only(chosen & fit))
            await mirror_into(cache, mode, database, part.only(chosen).users)
        users += len(part.users)
        strange += int(np.count_nonzero(~fit))
        yield Restored(number + 1, users, written, strange)


async def _part(bucket: Bucket, manifest: Manifest, number: int, entry: Entry) -> Part:
    key = manifest.name.part(number)
    data = await bucket.read(key)
    if data is None:
        raise Damaged(f"expected {key}, and it is not there")
    if len(data) != entry.bytes or hashlib.sha256(data).hexdigest() != entry.sha256:
        raise Damaged(f"expected {key} of {entry.bytes} bytes with the SHA-256 {entry.sha256}")
    part = await asyncio.to_thread(decode, data)
    held = (len(part.users), *((part.users[0], part.users[-1]) if part.users else (None, None)))
    if held != (entry.users, entry.first, entry.last):
        raise Damaged(f"expected the users of the manifest in {key}, got {held}")
    return part


async def _write(database: Database, part: Part) -> int:
    """Write the part; who is deleted meanwhile is left out by the next attempt."""
    if not part.users:
        return 0
    for _ in range(ROUNDS):
        try:
            async with database.connection() as connection:
                return int(np.count_nonzero(await restores.restore(connection, part)))
        except ForeignKeyViolationError:
            continue
    raise Unavailable("postgres: users vanished faster than they were restored")
