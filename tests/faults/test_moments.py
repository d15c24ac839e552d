"""Killed with SIGKILL at any moment: after one whole run more, nothing is lost."""

import asyncio
from random import Random

import pytest
from asyncpg import Connection
from valkey.asyncio import Valkey as Redis

from dev.ageing import age_runs
from dev.stack import Stack
from tests.conftest import Start, trigger
from tests.promises import open_work
from tests.scene import act, build
from tests.tally import Tally

KILLS, KILLS_LONG = 100, 1000
A_RUN = 25
LONGEST = 0.6  # seconds from one kill to the next
HOURS = 3600
ROUTE = "/api/actions/batch-process"


@pytest.mark.fault(4, 5, 11)
@pytest.mark.timeout(7200)
async def test_killed_at_any_moment_nobody_is_lost(
    start: Start,
    connection: Connection,
    redis: Redis,
    tally: Tally,
    long: bool,  # noqa: FBT001
):
    """A message may use up its attempts: its users are the next run's, which nobody disturbs."""
    random = tally.dice()
    scene = await build(connection, users=20)
    stack = await start({"PAGE_SIZE": "2", "PARALLEL_CHAINS": "2"})
    while tally.tried < (KILLS_LONG if long else KILLS):
        for user in scene.users:
            await act(connection, user, random.choice(scene.posts))
        await trigger(stack)
        await kill_while_it_runs(stack, random, tally)
        await stack.broker.drain()
        await age_runs(connection, 2 * HOURS)
        stack.broker.clock.jump(2 * HOURS)
        await trigger(stack)
        await stack.broker.drain()
        assert await open_work(connection) == (0, 0)
        await tally.converged(connection, redis, scene.users)


async def kill_while_it_runs(stack: Stack, random: Random, tally: Tally) -> None:
    """Kill whatever works so many times, each after a random while, or until nothing is left."""
    most = tally.tried + A_RUN

    async def kill() -> None:
        while tally.tried < most:
            await asyncio.sleep(random.uniform(0, LONGEST))
            if stack.functions.pid(ROUTE):
                stack.functions.kill()
                tally.tried += 1

    killer = asyncio.create_task(kill())
    try:
        while not killer.done() and stack.broker.pending():
            await stack.broker.drain(max_deliveries=1)
    finally:
        killer.cancel()
        await asyncio.gather(killer, return_exceptions=True)
