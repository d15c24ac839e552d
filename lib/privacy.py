"""A user's rights over what is made of them: to have it erased, to object to it, and to see it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from lib.cache import Cache
from lib.errors import KeyRemains, Unavailable
from lib.store import erasures, holdings
from lib.store.database import Connection, Database
from lib.store.erasures import Erasure
from lib.store.holdings import Holdings


@dataclass(frozen=True)
class Export:
    """All that is held about a user; `cached`: (384,) float32, the vector that Redis holds."""

    user: UUID
    postgres: Holdings
    cached: NDArray[np.float32] | None


async def erase_user(database: Database, cache: Cache | None, user: UUID) -> Erasure:
    """Remove all that was made of the user; what was done up to now never counts again.

    For good in Postgres before Redis is asked: where Redis is down, KeyRemains says that this
    much is done, and the next run deletes the key. A second call does no harm, nor does one for a
    user who never was.
    """
    return await _forget(database, cache, user, erasures.erase)


async def opt_out_user(database: Database, cache: Cache | None, user: UUID) -> Erasure:
    """Erase the user, and make no vector of them until they opt in; otherwise as `erase_user`."""
    return await _forget(database, cache, user, erasures.opt_out)


async def _forget(
    database: Database,
    cache: Cache | None,
    user: UUID,
    forget: Callable[[Connection, UUID], Awaitable[Erasure]],
) -> Erasure:
    async with database.connection() as connection:
        erasure = await forget(connection, user)
    if cache:
        try:
            await cache.drop([user])
        except Unavailable as error:
            raise KeyRemains(
                f"{user} is erased in postgres, and the next run deletes the key in redis,"
                f" which could not be done now: {error}"
            ) from error
    return erasure


async def opt_in_user(database: Database, user: UUID) -> Erasure | None:
    """Let there be vectors of the user again, of what is done from now on.

    None, and nothing is changed, for who had not opted out. Raises Unavailable.
    """
    async with database.connection() as connection:
        return await erasures.opt_in(connection, user)


async def export_user(database: Database, cache: Cache | None, user: UUID) -> Export:
    """Return what Postgres holds about the user at one moment, and Redis a moment later.

    Raises Unavailable.
    """
    async with (
        database.connection() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        held = await holdings.held(connection, user)
    return Export(user, held, await cache.read(user) if cache else None)
