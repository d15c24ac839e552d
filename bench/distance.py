"""A function's surroundings, near or a round trip away."""

import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from urllib.parse import urlsplit

import asyncpg

from bench.companion import companion
from bench.page import Places
from bench.platform import Platform

PINGS = 50


@asynccontextmanager
async def at_distance(platform: Platform, near: Places, round_trip: float) -> AsyncIterator[Places]:
    """Yield the places, `round_trip` s away; what the proxy itself takes is part of that."""
    async with _behind(platform, near, 0.0) as far:
        own = await ping(far.database) - await ping(near.database)
    async with _behind(platform, near, max(0.0, round_trip - own / 1000)) as far:
        yield replace(far, round_trip=round_trip)


@asynccontextmanager
async def _behind(platform: Platform, near: Places, delay: float) -> AsyncIterator[Places]:
    servers = (platform.socket, *(urlsplit(url).netloc for url in (near.redis, near.qstash)))
    async with companion("dev.latency", delay, *servers) as (socket, redis, qstash):
        folder = socket.rpartition("/")[0]
        database = urlsplit(platform.url).path
        yield Places(
            f"postgresql://postgres@{database}?host={folder}", f"http://{redis}", f"http://{qstash}"
        )


async def ping(database: str) -> float:
    """Return the median milliseconds of a query that does nothing."""
    connection = await asyncpg.connect(database, timeout=30, command_timeout=30)
    try:
        times = []
        for _ in range(PINGS):
            begun = time.perf_counter()
            await connection.execute("SELECT")
            times.append(time.perf_counter() - begun)
    finally:
        await connection.close()
    return 1000 * statistics.median(times)
