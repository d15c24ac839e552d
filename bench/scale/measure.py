"""The whole of `make bench-scale`, from the server's start to the findings."""

import time
from collections.abc import Sequence

from bench.account import Say
from bench.course import Course, run_course
from bench.machine import machine
from bench.platform import loaded
from bench.scale.report import Findings
from bench.scale.storage import Size, sizes, writing
from dev.postgres import Postgres
from dev.valkey import Valkey

ACTIONS, WINDOW = 20, 10
PAGE_SIZE = 500
MOST_CACHED = 100_000
CHAINS = (1, 2, 4)


async def measure(steps: Sequence[int], posts: int, command: str, say: Say) -> Findings:
    """Run over ever more users; at the last step but one also with Redis and in several chains."""
    begun = time.perf_counter()
    courses: list[Course] = []
    found: dict[int, dict[str, Size]] = {}
    with Postgres.start() as postgres, Valkey() as valkey:
        for users in steps:
            say(f"loading {users:,} users and {users * ACTIONS:,} actions")
            async with loaded(postgres, users, ACTIONS, posts) as platform:
                await platform.let_autovacuum()
                plans = [(1, False)]
                if users <= MOST_CACHED:
                    plans += [(chains, True) for chains in CHAINS]
                for chains, cached in plans:
                    say(f"{users:,} users, chains: {chains}, Redis: {'yes' if cached else 'no'}")
                    courses.append(
                        await run_course(
                            platform,
                            valkey,
                            chains=chains,
                            cached=cached,
                            page_size=PAGE_SIZE,
                            rounds=WINDOW,
                        )
                    )
                found[users] = await sizes(platform.connection)
                if users == steps[len(steps) // 2]:
                    say("writing with and without indexes")
                    cost = await writing(platform)
                about = await machine(platform)
    seconds = time.perf_counter() - begun
    return Findings(
        about, command, seconds, posts, ACTIONS, WINDOW, PAGE_SIZE, courses, found, cost
    )
