"""Redis brought up to date with Postgres, for a few users at a time, as CACHE_MODE says."""

from collections.abc import Sequence
from uuid import UUID

from lib.batch.services import Services
from lib.cache import Cache
from lib.errors import Unavailable
from lib.settings import CacheMode
from lib.store import vectors
from lib.store.database import Database

ROUNDS = 5


async def mirror(services: Services, users: Sequence[UUID]) -> None:
    """Let Redis hold nothing older than what Postgres has committed of these users.

    WRITE: the vectors are written. OFF: nothing is done. INVALIDATE: the keys are deleted, and
    need no second look: a copy of an older row that was made before the DEL goes with it, and who
    reads the row after the DEL reads the new one. There remains who read the row before it was
    committed and writes the key after the DEL. That is for readers to mend: SET with NX, then read
    the row again, and delete the key if the row is newer. Raises Unavailable.
    """
    await mirror_into(services.cache, services.cache_mode, services.database, users)


async def mirror_into(
    cache: Cache | None, mode: CacheMode, database: Database, users: Sequence[UUID]
) -> None:
    """Do as `mirror`, for who has no more of a batch's services than these; None goes with OFF."""
    if cache is None:
        return
    if mode is CacheMode.INVALIDATE:
        await cache.drop(users)
    else:
        await _write(database, cache, users)


async def _write(database: Database, cache: Cache, users: Sequence[UUID]) -> None:
    """Write what Postgres holds of these users now; delete the keys of the others.

    Whoever has a newer vector by the time the write is through is written again, so that of two
    deliveries that race the last to write leaves the newest.
    """
    behind = list(users)
    for _ in range(ROUNDS):
        async with database.connection() as connection:
            stored = await vectors.read_stored(connection, behind)
        written = {vector.user: vector.generated_at for vector in stored}
        await cache.put({vector.user: vector.embedding for vector in stored})
        await cache.drop([user for user in behind if user not in written])
        try:
            async with database.connection() as connection:
                held = await vectors.read_generated(connection, behind)
        except Unavailable:
            # another delivery may have written newer ones, and have left nobody to come back for
            await cache.drop(list(written))
            raise
        behind = [user for user in behind if written.get(user) != held.get(user)]
        if not behind:
            return
    raise Unavailable(f"redis: {len(behind)} vectors changed faster than they were cached")
