"""What a batch works with: its settings and the ways to Postgres, Redis and QStash."""

from dataclasses import dataclass
from typing import Self

from lib.cache import Cache
from lib.embedding import BASELINE, Scheme
from lib.qstash.queue import Queue
from lib.settings import (
    CacheMode,
    CacheSettings,
    DatabaseSettings,
    Environ,
    QueueSettings,
    RunSettings,
    VectorSettings,
)
from lib.store.database import Database


@dataclass(frozen=True)
class Services:
    """Made once a process, from the environment; connects to nothing before it is used.

    `cache` is None with CacheMode.OFF.
    """

    database: Database
    cache: Cache | None
    cache_mode: CacheMode
    queue: Queue
    vectors: VectorSettings
    runs: RunSettings
    scheme: Scheme = BASELINE

    @classmethod
    def load(cls, environ: Environ) -> Self:
        """Read every setting that a batch needs; raise SettingError."""
        caching = CacheSettings.load(environ)
        return cls(
            Database(DatabaseSettings.load(environ)),
            Cache(caching.redis) if caching.redis else None,
            caching.mode,
            Queue(QueueSettings.load(environ)),
            VectorSettings.load(environ),
            RunSettings.load(environ),
        )

    async def close(self) -> None:
        """Let go of every connection."""
        if self.cache:
            await self.cache.close()
        await self.queue.close()
        await self.database.close()
