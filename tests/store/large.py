"""A large database, filled once for all tests of a module and lent to each of them."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import asyncpg

from dev.postgres import Postgres
from tests.scene import connect


@contextmanager
def filled_once(postgres: Postgres, template: str, name: str, *statements: str) -> Iterator[str]:
    """Fill a database by statements, and take statistics of it as a live one has them."""

    async def fill() -> None:
        connection = await connect(await postgres.create(name, template))
        # or VACUUM comes before the commit is on disk, and calls no page visible to all
        await connection.execute("SET synchronous_commit = on")
        for statement in statements:
            await connection.execute(statement)
        await connection.execute("VACUUM ANALYZE")
        await connection.close()

    asyncio.run(fill())
    yield postgres.url(name)
    asyncio.run(postgres.drop(name))


@asynccontextmanager
async def lent(url: str) -> AsyncIterator[asyncpg.Connection]:
    """Lend a database; what is done to it is rolled back."""
    connection = await connect(url)
    changes = connection.transaction()
    await changes.start()
    yield connection
    await changes.rollback()
    await connection.close()
