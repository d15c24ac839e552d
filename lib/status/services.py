"""What a look works with: the ways to Postgres and QStash."""

from dataclasses import dataclass
from typing import Self

from lib.qstash.account import Account
from lib.settings import DatabaseSettings, Environ, table
from lib.store.database import Database


@dataclass(frozen=True)
class Services:
    """Made once a process, from the environment; connects to nothing before it is used."""

    database: Database
    account: Account

    @classmethod
    def load(cls, environ: Environ) -> Self:
        """Read every setting that a look needs; raise SettingError."""
        return cls(
            Database(DatabaseSettings.load(environ)),
            Account(table.QSTASH_URL.load(environ), table.QSTASH_TOKEN.load(environ)),
        )

    async def close(self) -> None:
        """Let go of every connection."""
        await self.account.close()
        await self.database.close()
