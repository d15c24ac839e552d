"""One database for all tests here, each of which is undone; and a run, written by hand."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import asyncpg
import pytest

from dev.pooler import Pooler
from dev.postgres import Postgres
from dev.stack import LOGIN
from lib.settings import DatabaseSettings
from lib.store.database import Database
from lib.store.runs import Run, find_run
from tests.scene import connect


@pytest.fixture(scope="session")
def shared(postgres: Postgres, template: str) -> Iterator[str]:
    """Name the database in which nobody commits."""
    name = f"shared_{uuid4().hex}"
    asyncio.run(postgres.create(name, template))
    yield name
    asyncio.run(postgres.drop(name))


@pytest.fixture
def shared_url(postgres: Postgres, shared: str) -> str:
    """Where it is, for a function."""
    return postgres.url(shared, LOGIN)


@pytest.fixture
async def connection(postgres: Postgres, shared: str) -> AsyncIterator[asyncpg.Connection]:
    """Lend the owner's connection in a transaction that is rolled back."""
    opened = await connect(postgres.url(shared))
    undone = opened.transaction()
    await undone.start()
    yield opened
    await undone.rollback()
    await opened.close()


@pytest.fixture
async def own(owner_url: str) -> AsyncIterator[asyncpg.Connection]:
    """Lend the owner's connection to a database of the test's own."""
    opened = await connect(owner_url)
    yield opened
    await opened.close()


@pytest.fixture
async def database(front: Postgres | Pooler, shared_url: str) -> AsyncIterator[Database]:
    url = front.url(urlsplit(shared_url).path[1:], LOGIN)
    made = Database(DatabaseSettings(url, pooled=True))
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
