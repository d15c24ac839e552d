"""How popular posts are, brought up to date by every tick."""

from datetime import timedelta

from lib.embedding import BASELINE
from lib.embedding.heat import cold
from lib.store import popularity, runs
from lib.store.database import Connection, Database
from lib.store.popularity import State

FIRST = timedelta(days=30)
"""So far back the first count goes."""

STEPS = 50
"""Of one tick: five million actions."""

ACTIONS = 100_000
"""In one step: a statement takes half a second."""

POSTS = 20_000
"""So many heats are removed at a time."""

DEAD = 10.0
"""Half-lives after which a view is forgotten: it weighs a thousandth of a new one."""


async def count_popularity(
    database: Database, half_life: float, overlap: int, *, actions: int = ACTIONS
) -> None:
    """Add the actions until so many seconds ago that are not in yet; start anew by a new half-life.

    STEPS steps at most, of so many actions each; the next tick goes on from there.
    By the weights of the baseline: what pushes away, or takes back, does not count. Each step is
    one transaction and moves the state on: killed in between, or twice at once, an action counts
    once. What is committed later than the overlap after its own time is not found.
    """
    async with database.connection() as connection:
        for _ in range(STEPS):
            async with connection.transaction():
                await popularity.lock_popularity(connection)
                if not await _step(connection, half_life, timedelta(seconds=overlap), actions):
                    return


async def _step(connection: Connection, half_life: float, overlap: timedelta, actions: int) -> bool:
    """Go one step; return whether there may be another one to go."""
    now = await runs.clock(connection)
    end = now - overlap
    state = await popularity.read_state(connection)
    if state is None or state.half_life != half_life:
        # until all are gone, the state says by what those are that are left
        if await popularity.forget(connection, POSTS):
            await popularity.write_state(connection, State(half_life, end - FIRST))
        return True
    if end > state.counted_until:
        reached = await popularity.step_end(connection, state.counted_until, end, actions)
        await popularity.add(connection, state.counted_until, reached, BASELINE.weights, half_life)
        await popularity.write_state(connection, State(half_life, reached))
        if reached < end:
            return True
    await popularity.prune(connection, cold(now, half_life) - DEAD, POSTS)
    return False
