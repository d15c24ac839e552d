"""What runs, what of it is real, and which data it runs over."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from importlib.metadata import version

from rich.console import Console

from dev.demo.platform import Platform, opened
from dev.demo.report import heading, listing
from dev.demo.servers import Servers
from dev.stack import ANY, Ports
from dev.world import World

POSTGRES = """
SELECT current_setting('server_version'), extversion FROM pg_extension WHERE extname = 'vector'
"""


@asynccontextmanager
async def introduced(
    console: Console,
    servers: Servers,
    world: World,
    settings: Mapping[str, str],
    ports: Ports = ANY,
) -> AsyncIterator[Platform]:
    """Run a platform over `world`, and print a line for each part and one for the data."""
    async with opened(servers, world, settings, ports) as platform:
        heading(console, "What runs here")
        listing(console, [*await _parts(platform), ("data", _data(world))])
        yield platform


async def _parts(platform: Platform) -> list[tuple[str, str]]:
    postgres, pgvector = await platform.connection.fetchrow(POSTGRES)
    valkey = (await platform.redis.info("server"))["valkey_version"]
    runtime = f"vercel-runtime {version('vercel-runtime')}"
    return [
        ("Postgres", f"real: {postgres} with pgvector {pgvector}"),
        ("Redis", f"real: Valkey {valkey}, behind a stand-in for Upstash's REST API"),
        ("functions", f"real: {runtime}, behind a stand-in for Vercel's edge"),
        ("QStash", "a stand-in that signs, delivers, retries and keeps the schedule"),
    ]


def _data(world: World) -> str:
    kind = "invented users, their tastes known" if world.tastes else "recorded users"
    return (
        f"{len(world.users):,} {kind}; {len(world.posts):,} posts, {len(world.actions):,} actions"
    )
