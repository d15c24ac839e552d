"""Redis made equal to Postgres, for a few users at a time."""

from collections.abc import Sequence
from uuid import UUID

from lib.batch.services import Services
from lib.errors import Unavailable
from lib.store import vectors

ROUNDS = 5


async def mirror(services: Services, users: Sequence[UUID]) -> None:
    """Write to Redis what Postgres holds of these users now; delete the keys of the others.

    Whoever has a newer vector by the time the write is through is written again, so that of two
    deliveries that race the last to write leaves the newest. Raises Unavailable.
    """
    behind = list(users)
    for _ in range(ROUNDS):
        async with services.database.connection() as connection:
            stored = await vectors.read_stored(connection, behind)
        written = {vector.user: vector.generated_at for vector in stored}
        await services.cache.put({vector.user: vector.embedding for vector in stored})
        await services.cache.drop([user for user in behind if user not in written])
        async with services.database.connection() as connection:
            held = await vectors.read_generated(connection, behind)
        behind = [user for user in behind if written.get(user) != held.get(user)]
        if not behind:
            return
    raise Unavailable(f"redis: {len(behind)} vectors changed faster than they were cached")
