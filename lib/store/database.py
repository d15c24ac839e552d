"""The way to Postgres: a small pool that is opened by the first request that needs it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import asyncpg
from pgvector.asyncpg import register_vector

from lib.errors import Unavailable
from lib.settings import DatabaseSettings

type Pool = asyncpg.Pool[asyncpg.Record]
type Connection = asyncpg.pool.PoolConnectionProxy[asyncpg.Record]

DATA_ERRORS = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.exceptions._base.DataError,  # noqa: SLF001  # asyncpg's own: a value it cannot encode
)
"""SQLSTATE 22 and 23: the rows are wrong, and another try would be too."""

CONNECTIONS = 5
CONNECT_SECONDS = 10.0
STATEMENT_SECONDS = 30.0
IDLE_SECONDS = 30.0

VECTOR_SCHEMA = """
SELECT n.nspname
FROM pg_extension e
JOIN pg_namespace n ON n.oid = e.extnamespace
WHERE e.extname = 'vector'
"""


@contextmanager
def asking() -> Iterator[None]:
    """Turn whatever Postgres fails with in the block into Unavailable, but for DATA_ERRORS."""
    try:
        yield
    except DATA_ERRORS:
        raise
    except (
        asyncpg.PostgresError,
        asyncpg.InterfaceError,
        asyncpg.InternalClientError,
        OSError,
        TimeoutError,
    ) as error:
        raise Unavailable(f"postgres: {type(error).__name__}: {_line(error)}") from error


class Unprepared(asyncpg.Connection):  # type: ignore[misc]  # asyncpg comes without types
    """Runs a statement in one round trip and leaves nothing of it on the server.

    A transaction pooler may give every transaction another server, so nothing can stay prepared.
    asyncpg then asks before each execution what the statement's arguments and results are. Here the
    first answer is remembered: a statement's own text must settle the types of both.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._described: dict[tuple[Any, ...], Any] = {}

    async def _get_statement(self, query: str, *arguments: Any, **options: Any) -> Any:
        asked = (query, *options.items())
        if asked not in self._described:
            self._described[asked] = await super()._get_statement(query, *arguments, **options)
        return self._described[asked]


class Database:
    """Connections to the platform's Postgres; safe for requests that overlap in one event loop."""

    def __init__(self, settings: DatabaseSettings) -> None:
        self._settings = settings
        self._opening = asyncio.Lock()
        self._pool: Pool | None = None

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Lend a connection; raise Unavailable where Postgres is down, slow or refusing.

        DATA_ERRORS pass through: they accuse the data, not the server.
        """
        with asking():
            pool = await self._open()
            async with pool.acquire(timeout=CONNECT_SECONDS) as connection:
                yield connection

    async def _open(self) -> Pool:
        async with self._opening:
            if self._pool is None:
                self._pool = await asyncpg.create_pool(
                    self._settings.url,
                    min_size=0,
                    max_size=CONNECTIONS,
                    timeout=CONNECT_SECONDS,
                    command_timeout=STATEMENT_SECONDS,
                    max_inactive_connection_lifetime=IDLE_SECONDS,
                    statement_cache_size=0 if self._settings.pooled else 100,
                    connection_class=Unprepared if self._settings.pooled else asyncpg.Connection,
                    init=_register_vector,
                    reset=_nothing_to_reset,
                )
            return self._pool

    async def close(self) -> None:
        """Close every connection at once; what is under way fails."""
        if self._pool is not None:
            self._pool.terminate()


@asynccontextmanager
async def visiting(settings: DatabaseSettings) -> AsyncIterator[Connection]:
    """Lend a connection that takes nothing for granted of what is there; raise Unavailable."""
    with asking():
        connection = await asyncpg.connect(
            settings.url,
            timeout=CONNECT_SECONDS,
            command_timeout=STATEMENT_SECONDS,
            statement_cache_size=0,
        )
    try:
        yield connection
    finally:
        connection.terminate()


async def _register_vector(connection: Connection) -> None:
    schema = await connection.fetchval(VECTOR_SCHEMA)
    if schema is None:
        raise Unavailable("postgres: the extension vector is not installed")
    await register_vector(connection, schema=schema)


async def _nothing_to_reset(_: Connection) -> None:
    """Save a round trip: no statement of ours leaves anything behind in a session."""


def _line(error: Exception) -> str:
    return str(error).partition("\n")[0]
