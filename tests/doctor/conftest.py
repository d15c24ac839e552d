"""A healthy deployment, made once; each test gets a copy of it to break."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from uuid import uuid4

import asyncpg
import numpy as np
import pytest_asyncio

from dev.pooler import Pooler
from dev.postgres import Postgres
from dev.stack import LOGIN, Stack, running
from dev.valkey import Valkey
from lib.commands.timetable import registration
from lib.doctor.examination import examination
from lib.doctor.finding import Finding
from lib.qstash.schedule import EVERY_TWO_HOURS
from tests.conftest import let_go, trigger
from tests.scene import build, connect, embed


@dataclass
class Deployment:
    """What can be broken: the environment, the database (as its owner), the stand-ins."""

    stack: Stack
    postgres: Postgres
    database: str
    owner: asyncpg.Connection
    environ: dict[str, str] = field(default_factory=dict)

    async def execute(self, *statements: str) -> None:
        for statement in statements:
            await self.owner.execute(statement)

    async def examined(self) -> dict[str, Finding]:
        """Examine it, from a thread's loop as the command does, and return what was found."""
        return {finding.check: finding async for finding in examination(self.environ)}


async def normalise(owner: asyncpg.Connection) -> None:
    """Give every post's vector the length 1, as models do."""
    for row in await owner.fetch("SELECT post_id, embedding FROM post_embeddings"):
        vector = np.array(row["embedding"].to_list())
        await embed(owner, row["post_id"], vector / np.linalg.norm(vector))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def healthy(
    postgres: Postgres, front: Postgres | Pooler, template: str, valkey_server: Valkey
) -> AsyncIterator[tuple[Stack, str]]:
    """A deployment whose first run is through, and the name of its database."""
    name = f"healthy_{uuid4().hex}"
    owner = await connect(await postgres.create(name, template))
    await build(owner)
    await normalise(owner)
    async with running(front.url(name, LOGIN), valkey_server) as stack:
        await asyncio.to_thread(registration, stack.environ, EVERY_TWO_HOURS)
        await trigger(stack)
        assert {delivery.status for delivery in await stack.broker.drain()} == {200}
        await owner.execute("VACUUM ANALYZE")
        await owner.close()
        stack.functions.kill()  # nobody may be connected to what is copied
        await let_go(front, name)
        yield stack, name
    await postgres.drop(name)


@pytest_asyncio.fixture(loop_scope="module")
async def deployment(
    postgres: Postgres, front: Postgres | Pooler, healthy: tuple[Stack, str]
) -> AsyncIterator[Deployment]:
    """A copy of the healthy one, whose schedule, cache and dead letters are as they should be."""
    stack, original = healthy
    name = f"doctor_{uuid4().hex}"
    owner = await connect(await postgres.create(name, original))
    environ = dict(stack.environ) | {"DATABASE_URL": front.url(name, LOGIN)}
    yield Deployment(stack, postgres, name, owner, environ)
    await owner.close()
    await let_go(front, name)
    await postgres.drop(name)
    stack.broker.dead_letters.clear()
    stack.broker.on_publish = stack.upstash.on_request = None
    await asyncio.to_thread(registration, stack.environ, EVERY_TWO_HOURS)
