"""The least that pages can cost: their own statements again, and nothing done with the answers."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from bench.page import cost, plan, sized, work
from bench.platform import Platform
from bench.tape import Borrowing, Call, Move, TapedDatabase, borrowings, taping
from lib.batch import Services
from lib.settings import DatabaseSettings
from lib.store.database import Database

KEEP = """
DROP TABLE IF EXISTS kept_runs, kept_members;
CREATE TABLE kept_runs AS SELECT * FROM embedding.runs;
CREATE TABLE kept_members AS SELECT * FROM embedding.run_users;
"""

# An older vector than the one stored would not be written.
RESTORE = """
INSERT INTO embedding.runs OVERRIDING SYSTEM VALUE SELECT * FROM kept_runs;
INSERT INTO embedding.run_users SELECT * FROM kept_members;
UPDATE user_embeddings SET generated_at = '2000-01-01'
"""


@dataclass(frozen=True)
class Floor:
    """What some warm pages said to Postgres, to be said again."""

    platform: Platform
    database: Database
    calls: Sequence[Call]
    users: int

    async def cost(self) -> float:
        """Put their run back to where it was and play its pages; return ms a user."""
        await self.platform.empty_runs()
        await self.platform.connection.execute(RESTORE)
        await self.platform.tidy()
        begun = time.perf_counter()
        await play(self.database, self.calls)
        return 1000 * (time.perf_counter() - begun) / self.users


async def tape_floor(
    platform: Platform, services: Services, settings: DatabaseSettings, page_size: int, users: int
) -> Floor:
    """Work off the first pages of a run twice, the second time on tape."""
    database = TapedDatabase(settings)
    services = replace(sized(services, page_size), database=database)
    try:
        await cost(services, platform, users)
        run = await plan(services, platform)
        await platform.connection.execute(KEEP)
        with taping(database) as calls:
            pages = range(-(-users // page_size))
            done = sum([(await work(services, run, number))[1] for number in pages])
    finally:
        await database.close()
    return Floor(platform, Database(settings), calls, done)


async def play(database: Database, calls: Sequence[Call]) -> None:
    """Make the calls again.

    Those of one borrowed connection follow each other; what overlapped on several may do so again,
    and a borrowing waits for all that were over when it began.
    """
    tasks: list[tuple[Borrowing, asyncio.Task[None]]] = []
    async with asyncio.TaskGroup() as group:
        for borrowing in borrowings(calls):
            before = [task for other, task in tasks if other.ended <= borrowing.begun]
            tasks.append((borrowing, group.create_task(_play(database, borrowing, before))))


async def _play(
    database: Database, borrowing: Borrowing, before: Sequence[asyncio.Task[None]]
) -> None:
    if before:
        await asyncio.wait(before)
    async with database.connection() as connection:
        open_transaction: Any = None
        for call in borrowing.calls:
            match call.what:
                case Move.BEGIN:
                    open_transaction = connection.transaction(**call.keywords)
                    await open_transaction.start()
                case Move.END:
                    await open_transaction.commit()
                case str(method):
                    await getattr(connection, method)(*call.arguments, **call.keywords)
