"""Which snapshots a bucket holds: finding one, and clearing away those that are too old."""

from datetime import datetime, timedelta

from lib.errors import Damaged, Missing
from lib.snapshot.bucket import Bucket
from lib.snapshot.manifest import PREFIX, Manifest, Name

KEPT = timedelta(days=29)
"""A day less than an erased user's vector may stay: the next snapshot clears away."""

STEPS = 100
"""So many deletions of a thousand objects at once are made, then the next snapshot goes on."""

SHOWN = 10


async def names(bucket: Bucket) -> list[Name]:
    """Return the names there are, oldest first, also of snapshots that were never finished."""
    found = map(Name.parse, await bucket.folders(PREFIX))
    return sorted(name for name in found if name is not None)


async def find(bucket: Bucket, asked: str | None) -> Manifest:
    """Return the manifest of this name, or the newest one.

    Raises Missing where there is none, Damaged where it is not one.
    """
    there = await names(bucket)
    for name in reversed(there):
        if asked in {None, str(name)} and (data := await bucket.read(name.manifest)) is not None:
            manifest = Manifest.parse(data)
            if manifest.name != name:
                raise Damaged(f"expected the manifest of {name}, got that of {manifest.name}")
            return manifest
    if asked is None:
        raise Missing(f"there is no finished snapshot below {PREFIX}")
    last = ", ".join(map(str, there[-SHOWN:])) or "none"
    raise Missing(f"there is no finished snapshot {asked}; the last ones begun: {last}")


async def clear(bucket: Bucket, now: datetime) -> int:
    """Delete what is older than KEPT, each manifest before its parts; return how many were.

    A manifest that is gone leaves no snapshot, so that nobody finds half of one.
    """
    cleared, steps = 0, 0
    for name in await names(bucket):
        if now - name.taken < KEPT:
            break
        await bucket.delete([name.manifest])
        while keys := await bucket.keys(name.folder):
            if steps == STEPS:
                return cleared
            await bucket.delete(keys)
            steps += 1
        cleared += 1
    return cleared
