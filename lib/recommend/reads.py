"""How often Redis had what was asked for: counted here, and passed on to Postgres now and then."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field

from lib.errors import Unavailable
from lib.store import figures
from lib.store.database import Database

EVERY_SECONDS = 60.0

WAIT_SECONDS = 0.2
"""So long a read waits for the counts to be passed on, once in EVERY_SECONDS."""


@dataclass
class Reads:
    """Counts reads in a warm instance; what it has not passed on when it ends is lost."""

    every: float = EVERY_SECONDS
    _counted: Counter[str] = field(default_factory=Counter)
    _due: float = 0.0
    passing: asyncio.Task[None] | None = None

    def count(self, use: str) -> None:
        """Count a read."""
        self._counted[f"cache {use}"] += 1

    async def pass_on(self, database: Database) -> None:
        """Pass the counts on if that is due. Never fails a read, nor delays it long.

        The first read is passed on at once: most instances that ever read have told of it.
        """
        now = asyncio.get_running_loop().time()
        if now < self._due:
            return
        self._due = now + self.every
        # not asyncio.timeout: asyncpg 0.32 waits for a server that hangs when it is cancelled
        self.passing = asyncio.create_task(self._pass_on(database))
        await asyncio.wait([self.passing], timeout=WAIT_SECONDS)

    async def _pass_on(self, database: Database) -> None:
        counted, self._counted = self._counted, Counter()
        try:
            async with database.connection() as connection:
                await figures.add_totals(connection, counted)
        except Unavailable:
            self._counted += counted
