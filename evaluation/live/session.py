"""A session with somebody's database in which nothing can be changed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from lib.settings import DatabaseSettings
from lib.store.database import Connection, Database

SECONDS = 90.0
LOCK_SECONDS = 5.0

# For this transaction only: a session's setting would outlive it behind a transaction pooler, and
# be met by whoever gets the connection next.
BOUNDS = """
SELECT
  set_config('statement_timeout', $1::TEXT, true),
  set_config('lock_timeout', $2::TEXT, true),
  set_config('jit', 'off', true)
"""


class Trouble(Exception):
    """Why a platform cannot be read, in words for whoever asked."""


class Session:
    """One snapshot of a database, open for reading."""

    def __init__(self, connection: Connection, seconds: float) -> None:
        self._connection = connection
        self._seconds = seconds

    async def fetch(self, what: str, query: str, *arguments: Any) -> list[asyncpg.Record]:
        """Run a query about `what`; raise Trouble where it takes too long or is not allowed."""
        wait = self._seconds + LOCK_SECONDS
        try:
            found: list[asyncpg.Record] = await self._connection.fetch(
                query, *arguments, timeout=wait
            )
        except (asyncpg.QueryCanceledError, TimeoutError) as error:
            raise Trouble(
                f"expected to read {what} within {self._seconds:g} s: it takes longer, and was"
                " given up; with DAYS=14 there is less to read"
            ) from error
        except asyncpg.LockNotAvailableError as error:
            raise Trouble(
                f"expected to read {what} at once: somebody has locked it, and it was given up"
            ) from error
        except asyncpg.InsufficientPrivilegeError as error:
            raise Trouble(f"expected rights to read {what}: {error}") from error
        return found

    async def value(self, what: str, query: str, *arguments: Any) -> Any:
        """Run such a query for one value."""
        [row] = await self.fetch(what, query, *arguments)
        return row[0]


@asynccontextmanager
async def session(url: str, seconds: float = SECONDS) -> AsyncIterator[Session]:
    """Open a REPEATABLE READ, READ ONLY transaction, in which a statement has `seconds`.

    It works through a transaction pooler and on a replica. Raises Unavailable where Postgres is
    down or refuses, or has no extension vector.
    """
    database = Database(DatabaseSettings(url, pooled=True))
    try:
        async with (
            database.connection() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            lock = min(LOCK_SECONDS, seconds / 2)
            await connection.fetch(BOUNDS, _milliseconds(seconds), _milliseconds(lock))
            yield Session(connection, seconds)
    finally:
        await database.close()


def _milliseconds(seconds: float) -> str:
    return str(max(1, int(1000 * seconds)))
