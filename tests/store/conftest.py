"""A run and its work list, written by hand."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest

from lib.settings import DatabaseSettings
from lib.store.database import Database
from lib.store.runs import Run, find_run


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    made = Database(DatabaseSettings(database_url, pooled=True))
    yield made
    await made.close()


async def write_run(
    connection: asyncpg.Connection,
    work: dict[int, list[UUID]],
    *,
    chains: int = 1,
    end: datetime | None = None,
) -> Run:
    """Write an open run whose pages hold these users."""
    run = uuid4()
    end = end or await connection.fetchval("SELECT clock_timestamp()")
    users = [(run, page, user) for page, members in work.items() for user in members]
    await connection.execute(
        "INSERT INTO embedding.runs"
        " (id, window_start, window_end, progressed_at, chains, users, pages)"
        " VALUES ($1, $2, $3, $3, $4, $5, $6)",
        run,
        end - timedelta(hours=2),
        end,
        chains,
        len(users),
        len(work),
    )
    await connection.executemany(
        "INSERT INTO embedding.run_users (run_id, page, user_id, remake)"
        " VALUES ($1, $2, $3, false)",
        users,
    )
    found = await find_run(connection, run)
    assert found is not None
    return found
