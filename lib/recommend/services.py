"""What a read works with: its settings and the ways to Postgres and Redis."""

from dataclasses import dataclass, field
from typing import Self

from lib.blend import load_blend
from lib.cache import Cache
from lib.embedding.ranking import Blend
from lib.recommend.reads import Reads
from lib.settings import (
    CacheSettings,
    DatabaseSettings,
    Environ,
    ExplorationSettings,
    ImpressionSettings,
    VectorSettings,
)
from lib.store.database import Database


@dataclass(frozen=True)
class Patience:
    """How many seconds a read waits for what it can do without.

    `redis`: in all, and once more to delete what must not stay; `postgres`: to say how a vector was
    made that Redis has.
    """

    redis: float = 0.2
    postgres: float = 2.0


@dataclass(frozen=True)
class Readers:
    """Made once a process, from the environment; connects to nothing before it is used.

    `cache` is None with CacheMode.OFF.
    """

    database: Database
    cache: Cache | None
    vectors: VectorSettings
    impressions: ImpressionSettings
    exploration: ExplorationSettings
    blend: Blend
    patience: Patience = Patience()
    reads: Reads = field(default_factory=Reads)

    @classmethod
    def load(cls, environ: Environ) -> Self:
        """Read every setting that a read needs; raise SettingError."""
        caching = CacheSettings.load(environ)
        return cls(
            Database(DatabaseSettings.load(environ)),
            Cache(caching.redis) if caching.redis else None,
            VectorSettings.load(environ),
            ImpressionSettings.load(environ),
            ExplorationSettings.load(environ),
            load_blend(),
        )

    async def close(self) -> None:
        """Let go of every connection."""
        if self.cache:
            await self.cache.close()
        await self.database.close()
