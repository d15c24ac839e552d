"""A database as a function opens it, and what is said where it cannot."""

import contextlib
import traceback
from collections.abc import AsyncIterator, Awaitable

import pytest

from lib.errors import Unavailable
from lib.settings import DatabaseSettings
from lib.store.database import Database

CANARY = "canary-7f3a"


@contextlib.asynccontextmanager
async def opened(url: str, *, pooled: bool = True) -> AsyncIterator[Database]:
    database = Database(DatabaseSettings(url, pooled))
    try:
        yield database
    finally:
        await database.close()


async def one(database: Database) -> object:
    async with database.connection() as connection:
        return await connection.fetchval("SELECT 1")


async def unavailable(calling: Awaitable[object]) -> str:
    """Return what is said of a server that fails the call: one line."""
    with pytest.raises(Unavailable, match=r"^postgres: ") as refused:
        await calling
    said = str(refused.value)
    assert len(said.splitlines()) == 1
    assert CANARY not in "".join(traceback.format_exception(refused.value))
    return said
