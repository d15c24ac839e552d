"""What a batch works with: its settings and the ways to Postgres, Redis and QStash."""

import asyncio
from dataclasses import dataclass, field
from typing import Self

from lib.cache import Cache
from lib.embedding import BASELINE, DIMENSIONS, Scheme
from lib.embedding.warm import WarmVectors
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

WARM_BYTES = 80_000_000
"""What post vectors may take in a warm instance: some 52,000 of them."""


def _warm_vectors() -> WarmVectors:
    return WarmVectors(WARM_BYTES // (4 * DIMENSIONS), DIMENSIONS)


@dataclass(frozen=True)
class Services:
    """Made once a process, from the environment; connects to nothing before it is used.

    `cache` is None with CacheMode.OFF. Whoever works with `warm` holds `warm_turn`.
    """

    database: Database
    cache: Cache | None
    cache_mode: CacheMode
    queue: Queue
    vectors: VectorSettings
    runs: RunSettings
    scheme: Scheme = BASELINE
    warm: WarmVectors = field(default_factory=_warm_vectors)
    warm_turn: asyncio.Lock = field(default_factory=asyncio.Lock)

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
