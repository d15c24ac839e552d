"""Our page, as it is deployed, in this very process."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from bench.platform import Platform
from dev.qstash import DEV_CURRENT_KEY, DEV_NEXT_KEY, DEV_TOKEN
from dev.stack import REDIS_TOKEN
from lib.batch import Services, start_run, work_page
from lib.qstash.message import Page
from lib.store.runs import Run

SECONDS = 600.0  # for one page


@dataclass(frozen=True)
class Places:
    """Where a function finds Postgres, Redis and QStash, and how far away they are (s).

    `pooled`: whether Postgres is to be taken for a transaction pooler, as it is by default.
    """

    database: str
    redis: str
    qstash: str
    round_trip: float = 0.0
    pooled: bool = True

    def environ(self, settings: Mapping[str, str]) -> dict[str, str]:
        """Return a function's environment."""
        return {
            "DATABASE_URL": self.database,
            "DATABASE_POOLED": str(int(self.pooled)),
            "UPSTASH_REDIS_REST_URL": self.redis,
            "UPSTASH_REDIS_REST_TOKEN": REDIS_TOKEN,
            "QSTASH_URL": self.qstash,
            "QSTASH_TOKEN": DEV_TOKEN,
            "QSTASH_CURRENT_SIGNING_KEY": DEV_CURRENT_KEY,
            "QSTASH_NEXT_SIGNING_KEY": DEV_NEXT_KEY,
            "APP_URL": "http://127.0.0.1:9",  # nothing is delivered
            **settings,
        }


def sized(services: Services, page_size: int) -> Services:
    """Return the same services, warm or not as they are, under another PAGE_SIZE."""
    return replace(services, runs=replace(services.runs, page_size=page_size))


async def plan(services: Services, platform: Platform) -> Run:
    """Plan a run of all users, as if it were the only one since the last of their actions."""
    await platform.forget_runs()
    await platform.tidy()
    return (await start_run(services)).run


async def work(services: Services, run: Run, number: int) -> tuple[float, int]:
    """Work off a page; return the seconds it took and how many users were on it."""
    begun = time.perf_counter()
    progress = await work_page(
        services, Page(run.id, number), asyncio.get_running_loop().time() + SECONDS
    )
    seconds = time.perf_counter() - begun
    if progress.trouble:
        raise progress.trouble
    return seconds, len(progress.results)


async def cost(services: Services, platform: Platform, users: int) -> float:
    """Plan a run anew and work off its first pages, for so many users; return ms a user."""
    run = await plan(services, platform)
    pages = -(-min(users, run.users) // services.runs.page_size)
    worked = [await work(services, run, number) for number in range(pages)]
    return 1000 * sum(seconds for seconds, _ in worked) / sum(done for _, done in worked)
