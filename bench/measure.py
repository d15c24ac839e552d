"""The whole of `make bench`, from the servers' start to the findings."""

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

from bench.account import Say
from bench.companion import companion
from bench.conditions import conditions
from bench.contest import Standing, contest, disagreement
from bench.course import run_course
from bench.distance import at_distance, ping
from bench.findings import USUAL, Findings
from bench.imports import imports
from bench.machine import machine
from bench.page import Places, plan, sized, work
from bench.phases import phases
from bench.platform import Platform, loaded
from bench.schemes import prices
from bench.spread import Spread
from bench.traffic import traffic
from bench.warmth import warmths
from dev.postgres import Postgres
from dev.valkey import Valkey
from lib.batch import Services
from lib.batch.page import SMALL_SLICE
from lib.settings import DatabaseSettings

ROUND_TRIPS = (0.001, 0.005)
WITHOUT_REDIS = {"CACHE_MODE": "off"}
ROUNDS_NEAR = 5
ROUNDS = 3
SCHEME_ROUNDS = 11
IMPORT_ROUNDS = 12
PHASED = 4000
RUNS = 2


async def measure(users: int, actions: int, posts: int, command: str, say: Say) -> Findings:
    """Start servers, load a world, and measure one thing after another."""
    begun = time.perf_counter()
    with Postgres.start() as postgres, Valkey() as valkey:
        async with AsyncExitStack() as parts:
            say(f"loading {users:,} users, {users * actions:,} actions and {posts:,} posts")
            platform = await parts.enter_async_context(loaded(postgres, users, actions, posts))
            urls = await parts.enter_async_context(companion("bench.outside", valkey.address))
            near = Places(platform.url, urls["redis"], urls["qstash"])
            plain = await parts.enter_async_context(running(near, WITHOUT_REDIS))

            say("cold pages")
            cold = await _cold(platform, near)
            say("the loop and pages, without Redis")
            standings = [await contest(platform, near, plain, cached=False, rounds=ROUNDS_NEAR)]
            say("the same through prepared statements")
            prepared = await _prepared(platform, near)
            difference = await disagreement(platform, near, plain)
            say("where the time goes")
            parts_of_page = await _phases(platform, near)
            say("the schemes")
            by_scheme = await prices(platform, plain, SCHEME_ROUNDS)
            pings = {0.0: await ping(near.database)}
            say("with Redis")
            standings.append(await _served(platform, near))
            for round_trip in ROUND_TRIPS:
                say(f"with Redis, {1000 * round_trip:g} ms away")
                async with at_distance(platform, near, round_trip) as far:
                    pings[round_trip] = await ping(far.database)
                    standings.append(await _served(platform, far))
            say("a whole run by the function's own process")
            whole = await run_course(
                platform, valkey, chains=1, cached=True, page_size=USUAL, rounds=1
            )
            say("whole runs, from cold to warm")
            async with running(near, WITHOUT_REDIS) as fresh:
                warm = await warmths(platform, fresh, USUAL, RUNS)
            say("what is sent")
            sent = [
                await traffic(platform, valkey.address, pooled=pooled) for pooled in (True, False)
            ]
            say("not vacuumed; without indexes")
            worse = await conditions(platform, near, plain, ROUNDS)
            say("imports")
            imported = await imports(IMPORT_ROUNDS)
            return Findings(
                await machine(platform),
                platform.world,
                command,
                time.perf_counter() - begun,
                cold,
                standings,
                parts_of_page,
                pings,
                prepared,
                sent,
                worse,
                imported,
                whole,
                warm,
                by_scheme,
                difference,
            )


@asynccontextmanager
async def running(places: Places, settings: dict[str, str]) -> AsyncIterator[Services]:
    """Yield services as a function's process has them."""
    services = Services.load(places.environ(settings))
    try:
        yield services
    finally:
        await services.close()


async def _cold(platform: Platform, places: Places) -> Spread:
    """Time the first page that services just made are asked for, without Redis."""
    taken = []
    for _ in range(ROUNDS):
        async with running(places, WITHOUT_REDIS) as services:
            run = await plan(sized(services, USUAL), platform)
        async with running(places, WITHOUT_REDIS) as services:
            seconds, _ = await work(services, run, 0)
            taken.append(1000 * seconds)
    return Spread.of(taken)


async def _phases(platform: Platform, places: Places) -> dict[str, float]:
    settings = DatabaseSettings.load(places.environ({}))
    async with running(places, {}) as services:
        return await phases(platform, services, settings, SMALL_SLICE, PHASED)


async def _served(platform: Platform, places: Places) -> Standing:
    async with running(places, {}) as services:
        return await contest(platform, places, services, cached=True, rounds=ROUNDS)


async def _prepared(platform: Platform, places: Places) -> Standing:
    direct = replace(places, pooled=False)
    async with running(direct, WITHOUT_REDIS) as services:
        return await contest(platform, direct, services, cached=False, rounds=ROUNDS)
