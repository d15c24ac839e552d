"""What a look works with: the ways to Postgres, QStash and Redis."""

from dataclasses import dataclass
from typing import Self

from lib.cache import Cache
from lib.qstash.account import Account
from lib.settings import (
    CacheSettings,
    DatabaseSettings,
    Environ,
    QueueSettings,
    VectorSettings,
)
from lib.status.arms import Names, names
from lib.store.database import Database


@dataclass(frozen=True)
class Services:
    """Made once a process, from the environment; connects to nothing before it is used.

    `cache` is None with CacheMode.OFF. `arms`: what those of the experiment are called.
    """

    database: Database
    account: Account
    cache: Cache | None
    arms: Names

    @classmethod
    def load(cls, environ: Environ) -> Self:
        """Read every setting that a look needs; raise SettingError."""
        redis = CacheSettings.load(environ).redis
        return cls(
            Database(DatabaseSettings.load(environ)),
            Account(QueueSettings.load(environ)),
            Cache(redis) if redis else None,
            names(VectorSettings.load(environ)),
        )

    async def close(self) -> None:
        """Let go of every connection."""
        if self.cache:
            await self.cache.close()
        await self.account.close()
        await self.database.close()
