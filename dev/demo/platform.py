"""A platform of our own: a world in its database, and the whole stack over it."""

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
from valkey.asyncio import Valkey as Redis

from dev.demo.failure import Failure
from dev.demo.servers import Servers
from dev.load import load
from dev.qstash import Broker
from dev.stack import ANY, LOGIN, ROOT, SQL, Ports, Stack, running
from dev.world import World
from lib.settings import table

if TYPE_CHECKING:
    from asyncpg import Connection

DATABASE = "demo"
SECONDS = 30.0


@dataclass(frozen=True)
class Platform:
    """What runs, with connections of our own to its servers; Postgres's knows pgvector's types."""

    psql: Path
    redis: Redis
    stack: Stack
    connection: "Connection[Any]"


@asynccontextmanager
async def opened(
    servers: Servers, world: World, settings: Mapping[str, str], ports: Ports = ANY
) -> AsyncIterator[Platform]:
    """Run the stack over a database with every file of `db/` applied and `world` loaded."""
    postgres, valkey = servers.postgres, servers.valkey
    async with AsyncExitStack() as parts:
        redis = Redis(unix_socket_path=str(valkey.address), socket_timeout=SECONDS)
        parts.push_async_callback(redis.aclose)
        url = await postgres.create(DATABASE)
        parts.push_async_callback(postgres.drop, DATABASE)
        await postgres.apply(DATABASE, *SQL)
        connection = await asyncpg.connect(url, timeout=SECONDS, command_timeout=SECONDS)
        parts.callback(connection.terminate)
        await load(connection, world, table.MODEL_VERSION.load(settings))
        await connection.execute("ANALYZE")
        login = postgres.url(DATABASE, LOGIN)
        stack = await parts.enter_async_context(running(login, valkey, settings, ports=ports))
        yield Platform(postgres.psql, redis, stack, connection)


async def register_schedule(stack: Stack) -> str:
    """Run `schedule.py` as a deployment would; return what it says, Failure if it fails."""
    command = await asyncio.create_subprocess_exec(
        sys.executable,
        "schedule.py",
        cwd=ROOT,
        env=dict(stack.environ),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(SECONDS):
            output, _ = await command.communicate()
    except TimeoutError:
        raise Failure(f"expected schedule.py to end within {SECONDS:g} s") from None
    finally:
        if command.returncode is None:
            command.kill()
            await command.wait()
    said = output.decode(errors="replace").strip()
    if command.returncode != 0:
        raise Failure(f"schedule.py exited with {command.returncode}: {said}")
    return said


@asynccontextmanager
async def delivering(broker: Broker) -> AsyncIterator[None]:
    """Deliver messages and fire schedules while the block runs."""
    deliveries = asyncio.create_task(broker.run())
    try:
        yield
    finally:
        deliveries.cancel()
        with suppress(asyncio.CancelledError):
            await deliveries
