"""Filling Postgres and Redis from a snapshot in S3."""

import asyncio

from lib.cache import Cache
from lib.errors import SettingError
from lib.settings import CacheMode, CacheSettings, DatabaseSettings, Environ, SnapshotSettings
from lib.snapshot.bucket import Bucket
from lib.snapshot.restoring import restore
from lib.snapshot.shelf import find
from lib.store.database import Database

DONE = 0


def restore_snapshot(environ: Environ, name: str | None) -> int:
    """Fill Postgres and Redis from the snapshot of this name, or the newest; repeat at will.

    Prints a line a part; raises SettingError, Unavailable, Missing and Damaged.
    """
    settings = SnapshotSettings.load(environ)
    if settings.bucket is None:
        raise SettingError("SNAPSHOT_BUCKET is missing: there is nothing to restore from")
    caching = CacheSettings.load(environ)
    database = Database(DatabaseSettings.load(environ))
    cache = Cache(caching.redis) if caching.redis else None
    asyncio.run(_restore(database, cache, caching.mode, Bucket(settings.bucket), name))
    return DONE


async def _restore(
    database: Database, cache: Cache | None, mode: CacheMode, bucket: Bucket, name: str | None
) -> None:
    try:
        manifest = await find(bucket, name)
        parts = len(manifest.parts)
        print(f"restoring {manifest.name}: {manifest.users:,} users in {parts} parts", flush=True)
        strange = 0
        async for state in restore(database, cache, mode, bucket, manifest):
            print(
                f"part {state.parts} of {parts}: {state.users:,} users looked at,"
                f" {state.written:,} written",
                flush=True,
            )
            strange = state.strange
        if strange:
            print(
                f"{strange:,} users left out, whose vectors were made with another mean than the"
                " one of that number here: `schedule.py rebuild` makes theirs anew"
            )
    finally:
        bucket.close()
        if cache:
            await cache.close()
        await database.close()
