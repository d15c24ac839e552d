"""A database with a world in it, and what has to be done to it between measurements."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import asyncpg

from bench.companion import companion
from bench.world import DAYS, World
from dev.postgres import Postgres
from dev.stack import ROOT

DATABASE = "bench"
SECONDS = 600.0
NEARLY_ALL = 0.99
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
TABLES = (ROOT / "db" / "platform.sql", ROOT / "db" / "schema.sql")
INDEXES = ROOT / "db" / "indexes.sql"
WRITTEN = (
    "user_embeddings",
    "embedding.user_offsets",
    "embedding.user_interests",
    "embedding.run_users",
)
"""What a page writes."""

# It would come at moments of its own.
NO_AUTOVACUUM = """
ALTER SYSTEM SET autovacuum = off
"""

AUTOVACUUM = """
ALTER SYSTEM SET autovacuum = on
"""

RELOAD = """
SELECT pg_reload_conf()
"""

# Vacuuming leaves alone what was committed asynchronously and is not flushed yet; any commit that
# waits for its flush, as our connection's do, flushes all before it.
FLUSH = """
SELECT pg_current_xact_id()
"""

SEEN_BY_ALL = """
SELECT relallvisible::FLOAT8 / relpages FROM pg_class WHERE relname = 'action_log'
"""

SORT_IN_MEMORY = """
SET maintenance_work_mem = '512MB'
"""

EMPTY_RUNS = """
TRUNCATE embedding.runs, embedding.run_users, embedding.run_counts, embedding.run_figures,
  embedding.failed_pages, embedding.failures, embedding.due
"""

LAST_RUN = """
INSERT INTO embedding.runs (
  id, window_start, window_end, progressed_at, finished_at, chains, users, pages
)
VALUES (gen_random_uuid(), $1, $1, $1, $1, 1, 0, 0)
"""

DROP_INDEXES = """
DROP INDEX action_log_user_created, action_log_created
"""

type Connection = asyncpg.Connection[asyncpg.Record]


@dataclass(frozen=True)
class Platform:
    """A loaded database, and a connection of our own to it."""

    postgres: Postgres
    url: str
    connection: Connection
    world: World

    @property
    def socket(self) -> str:
        """Where the server listens."""
        return str(self.postgres.socket)

    async def tidy(self) -> None:
        """Vacuum what a page writes, so that each measurement begins alike."""
        for table in WRITTEN:
            await self.connection.execute(f"VACUUM {table}")

    async def let_autovacuum(self) -> None:
        """Leave vacuuming to the server from now on."""
        await self.connection.execute(AUTOVACUUM)
        await self.connection.execute(RELOAD)

    async def empty_runs(self) -> None:
        """Leave nothing of any run."""
        await self.connection.execute(EMPTY_RUNS)

    async def forget_runs(self, rounds: int = 1) -> None:
        """Forget all runs; the next one's window holds the last rounds of the log, so all users."""
        await self.empty_runs()
        await self.connection.execute(LAST_RUN, self._now - self._age(rounds))

    async def build_indexes(self) -> None:
        """Build the indexes of `db/indexes.sql` that are not there."""
        lines = INDEXES.read_text(encoding="utf-8").splitlines()
        code = "\n".join(line for line in lines if not line.startswith("--"))
        await self.connection.execute(SORT_IN_MEMORY)
        for statement in filter(str.strip, code.split(";")):
            await self.connection.execute(statement)

    async def load_rounds(self, rounds: range) -> None:
        """Add these rounds of the log."""
        world = self.world
        size = (world.users, world.actions, world.posts, world.now)
        async with companion("bench.load", self.url, *size, rounds.start, rounds.stop):
            pass

    async def unload_rounds(self, rounds: range) -> None:
        """Delete these rounds, which are the last ones, and vacuum."""
        begin = self._now - self._age(len(rounds))
        await self.connection.execute("DELETE FROM action_log WHERE created_at >= $1", begin)
        await self.vacuum()

    async def vacuum(self) -> None:
        """Vacuum all, so that every page of the log is known to be visible to all."""
        await self.connection.execute(FLUSH)
        await self.connection.execute("VACUUM ANALYZE")
        seen = await self.connection.fetchval(SEEN_BY_ALL)
        if seen < NEARLY_ALL:
            raise RuntimeError(f"expected all of the log to be visible to all, got {seen:.0%}")

    def _age(self, rounds: int) -> timedelta:
        return timedelta(days=DAYS / self.world.actions * rounds)

    @property
    def _now(self) -> datetime:
        return EPOCH + timedelta(microseconds=self.world.now)


@asynccontextmanager
async def loaded(
    postgres: Postgres, users: int, actions: int, posts: int
) -> AsyncIterator[Platform]:
    """Make a database, fill it, then build the indexes and vacuum; drop it at the end."""
    url = await postgres.create(DATABASE)
    connection = None
    try:
        await postgres.apply(DATABASE, *TABLES)
        connection = await asyncpg.connect(
            url,
            timeout=30,
            command_timeout=SECONDS,
            server_settings={"synchronous_commit": "on"},
        )
        await connection.execute(NO_AUTOVACUUM)
        await connection.execute(RELOAD)
        now = (datetime.now(UTC) - EPOCH) // timedelta(microseconds=1)
        world = World(users, actions, posts, now)
        platform = Platform(postgres, url, connection, world)
        await platform.load_rounds(range(actions))
        await platform.build_indexes()
        await platform.vacuum()
        yield platform
    finally:
        if connection:
            connection.terminate()
        await postgres.drop(DATABASE)
