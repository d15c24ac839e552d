"""The page when the database is not at its best."""

import time
from dataclasses import dataclass
from functools import partial

from bench import loop
from bench.contest import first_users
from bench.page import Places, cost, plan, sized, work
from bench.platform import DROP_INDEXES, Platform
from bench.spread import Spread, side_by_side
from lib.batch import Services
from lib.settings import DatabaseSettings

PAGE_SIZE = 500
USERS = 2000
FEW = 10
"""Users on the page that is measured without indexes: each costs a look at all of the log."""


@dataclass(frozen=True)
class Conditions:
    """Milliseconds a user, without Redis; `bare`: without `db/indexes.sql`."""

    vacuumed: Spread
    unvacuumed: Spread
    vacuumed_again: Spread
    bare_page: float
    bare_loop: float


async def conditions(
    platform: Platform, places: Places, services: Services, rounds: int
) -> Conditions:
    """Measure with a tenth of the log newer than the last vacuum, and without the indexes."""

    async def page() -> Spread:
        measures = {"page": partial(cost, sized(services, PAGE_SIZE), platform, USERS)}
        return (await side_by_side(rounds, measures))["page"]

    actions = platform.world.actions
    newest = range(actions - actions // 10, actions)
    vacuumed = await page()
    await platform.unload_rounds(newest)
    await platform.load_rounds(newest)
    unvacuumed = await page()
    await platform.vacuum()
    vacuumed_again = await page()
    bare_page, bare_loop = await _bare(platform, places, services)
    return Conditions(vacuumed, unvacuumed, vacuumed_again, bare_page, bare_loop)


async def _bare(platform: Platform, places: Places, services: Services) -> tuple[float, float]:
    run = await plan(sized(services, FEW), platform)
    await platform.connection.execute(DROP_INDEXES)
    connection = await loop.connect(DatabaseSettings.load(places.environ({})))
    try:
        seconds, done = await work(services, run, 0)
        users = await first_users(platform, FEW)
        begun = time.perf_counter()
        await loop.embed_users(connection, None, services.vectors, users)
        looped = time.perf_counter() - begun
    finally:
        await connection.close()
    await platform.build_indexes()
    return 1000 * seconds / done, 1000 * looped / len(users)
