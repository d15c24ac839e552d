"""How popular posts are: what a tick counts is what the log says, whatever came in between."""

import asyncio
import math
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from random import Random
from uuid import UUID, uuid4

import asyncpg
import pytest

from lib.batch.popularity import DEAD, FIRST, count_popularity
from lib.blend import load_blend
from lib.embedding import BASELINE
from lib.embedding.heat import cold
from lib.errors import Unavailable
from lib.settings import DatabaseSettings
from lib.store.database import Database
from tests.conftest import Start, trigger
from tests.scene import RARE, TYPES, act, build, connect

ON_PLATFORMS = ["tables", "views"]

HALF_LIFE = load_blend().popularity_days
OVERLAP = 900


@pytest.fixture
async def database(functions_url: str) -> AsyncIterator[Database]:
    made = Database(DatabaseSettings(functions_url, pooled=True))
    yield made
    await made.close()


async def publish(connection: asyncpg.Connection, count: int) -> list[UUID]:
    posts = [uuid4() for _ in range(count)]
    await connection.executemany("INSERT INTO posts (id) VALUES ($1)", [(post,) for post in posts])
    return posts


async def log_actions(
    connection: asyncpg.Connection, posts: list[UUID], count: int, seed: int, days: float = 29
) -> None:
    random, now = Random(seed), datetime.now(UTC)
    for _ in range(count):
        at = now - timedelta(days=random.uniform(-0.5, days))
        await act(connection, uuid4(), random.choice(posts), random.choice(TYPES + RARE), at)


async def heats(connection: asyncpg.Connection) -> dict[UUID, float]:
    rows = await connection.fetch("SELECT post_id, heat FROM embedding.post_popularity")
    return {row["post_id"]: row["heat"] for row in rows}


async def counted_until(connection: asyncpg.Connection) -> datetime:
    return await connection.fetchval("SELECT counted_until FROM embedding.popularity_state")


async def expected(
    connection: asyncpg.Connection, start: datetime, half_life: float = HALF_LIFE
) -> Mapping[UUID, float]:
    """Return what heats should be, by one action after the other, from `start` to the state."""
    end = await counted_until(connection)
    sums: defaultdict[UUID, float] = defaultdict(float)
    for row in await connection.fetch("SELECT * FROM action_log"):
        weight = BASELINE.weights.get(row["action_type"])
        if weight and start <= row["created_at"] < end:
            age = (end - row["created_at"]).total_seconds() / 86_400
            sums[row["post_id"]] += weight * 2 ** (-age / half_life)
    return {post: math.log2(total) + cold(end, half_life) for post, total in sums.items()}


async def assert_counted(
    connection: asyncpg.Connection, start: datetime, half_life: float = HALF_LIFE
) -> None:
    wanted = await expected(connection, start, half_life)
    assert wanted
    assert await heats(connection) == pytest.approx(dict(wanted), abs=1e-9)


async def count_all(database: Database, actions: int, overlap: int = OVERLAP) -> None:
    """Let ticks follow each other until nothing more comes of them."""
    before = None
    async with database.connection() as connection:
        while (now := await heats(connection)) != before:
            before = now
            await count_popularity(database, HALF_LIFE, overlap, actions=actions)


@pytest.mark.parametrize("actions", [1, 7, 1000])
async def test_heat_is_what_the_log_says_however_short_the_steps(
    connection: asyncpg.Connection, database: Database, actions: int
):
    posts = await publish(connection, 10)
    await log_actions(connection, posts, 120, seed=1)
    same = datetime.now(UTC) - timedelta(days=3)
    for post in posts[:3] * 3:
        await act(connection, uuid4(), post, "share_post", same)
    for number, post in enumerate(posts):
        # where a step of one ends, the next action is
        await act(connection, uuid4(), post, at=same + timedelta(microseconds=number))
    before = datetime.now(UTC)
    await count_popularity(database, HALF_LIFE, OVERLAP, actions=actions)
    start = await connection.fetchval(
        "SELECT min(created_at) FROM action_log WHERE created_at >= $1", before - FIRST
    )
    await count_all(database, actions)
    assert await counted_until(connection) >= before - timedelta(seconds=OVERLAP)
    await assert_counted(connection, start)


async def test_later_ticks_add_to_what_is_there_and_count_nothing_twice(
    connection: asyncpg.Connection, database: Database
):
    posts = await publish(connection, 5)
    await log_actions(connection, posts, 150, seed=2)
    day = 86_400
    await count_popularity(database, HALF_LIFE, 20 * day)
    start = await counted_until(connection) - FIRST
    for overlap in (20 * day, 10 * day, 12 * day, 10 * day, 7, 0, 0, 900):
        before = await counted_until(connection)
        await count_popularity(database, HALF_LIFE, overlap)
        assert await counted_until(connection) >= before
        await assert_counted(connection, start)


async def test_what_is_logged_since_is_counted_by_the_next_tick(
    connection: asyncpg.Connection, database: Database
):
    [post] = await publish(connection, 1)
    await act(connection, uuid4(), post, "like_post")
    await count_popularity(database, HALF_LIFE, 0)
    one = (await heats(connection))[post]
    await act(connection, uuid4(), post, "like_post")
    await act(connection, uuid4(), post, "hide_post")
    await act(connection, uuid4(), post, "unlike_post")
    await count_popularity(database, HALF_LIFE, 0)
    assert (await heats(connection))[post] == pytest.approx(one + 1, abs=1e-4)


async def test_one_killed_in_mid_step_leaves_what_the_next_one_finishes(
    connection: asyncpg.Connection, database: Database, database_url: str
):
    """It hangs in the middle of a step on a row that another holds, and is killed there."""
    posts = await publish(connection, 8)
    await log_actions(connection, posts, 40, seed=3)
    await count_popularity(database, HALF_LIFE, 15 * 86_400)
    start = await counted_until(connection) - FIRST
    holder = await connect(database_url)
    for post in posts[:4]:
        held = holder.transaction()
        await held.start()
        await holder.execute(
            "SELECT FROM embedding.post_popularity WHERE post_id = $1 FOR UPDATE", post
        )
        under_way = asyncio.create_task(count_popularity(database, HALF_LIFE, 0, actions=3))
        await waits(connection)
        await connection.execute("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE NOT granted")
        with pytest.raises(Unavailable):
            await under_way
        await held.rollback()
        await assert_counted(connection, start)
        await log_actions(connection, posts, 5, seed=4, days=0)
        for each in posts:
            await act(connection, uuid4(), each)
    await holder.close()
    await count_popularity(database, HALF_LIFE, 0)
    await assert_counted(connection, start)


async def waits(connection: asyncpg.Connection) -> None:
    """Return once somebody in this database waits for a row."""
    while not await connection.fetchval(  # noqa: ASYNC110  # the database tells nobody
        "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)"
        " WHERE NOT granted AND datname = current_database()"
    ):
        await asyncio.sleep(0.01)


async def test_ticks_at_once_count_once(connection: asyncpg.Connection, database: Database):
    posts = await publish(connection, 8)
    await log_actions(connection, posts, 100, seed=5)
    await count_popularity(database, HALF_LIFE, 25 * 86_400)
    start = await counted_until(connection) - FIRST
    await asyncio.gather(
        *(count_popularity(database, HALF_LIFE, OVERLAP, actions=actions) for actions in (3, 5, 8))
    )
    await assert_counted(connection, start)


async def test_first_ticks_at_once_count_once(connection: asyncpg.Connection, database: Database):
    posts = await publish(connection, 8)
    await log_actions(connection, posts, 100, seed=6, days=20)
    await asyncio.gather(*(count_popularity(database, HALF_LIFE, OVERLAP) for _ in range(4)))
    await assert_counted(connection, await counted_until(connection) - FIRST)


async def test_first_count_reaches_back_thirty_days(
    connection: asyncpg.Connection, database: Database
):
    old, new = await publish(connection, 2)
    now = datetime.now(UTC)
    await act(connection, uuid4(), old, at=now - FIRST - timedelta(seconds=1))
    await act(connection, uuid4(), new, at=now - FIRST + timedelta(minutes=1))
    await count_popularity(database, HALF_LIFE, 0)
    assert set(await heats(connection)) == {new}


async def test_another_half_life_starts_anew(connection: asyncpg.Connection, database: Database):
    posts = await publish(connection, 5)
    await log_actions(connection, posts, 50, seed=7)
    await count_popularity(database, HALF_LIFE, OVERLAP)
    for half_life in (1.0, 30.0, HALF_LIFE):
        await count_popularity(database, half_life, OVERLAP)
        await assert_counted(connection, await counted_until(connection) - FIRST, half_life)


async def test_order_of_heats_is_that_of_popularity_at_any_later_time(
    connection: asyncpg.Connection, database: Database
):
    posts = await publish(connection, 6)
    await log_actions(connection, posts, 60, seed=8)
    await count_popularity(database, HALF_LIFE, OVERLAP)
    found = await heats(connection)
    for later in (0, 5, 500):
        now = await counted_until(connection) + timedelta(days=later)
        sums: defaultdict[UUID, float] = defaultdict(float)
        for row in await connection.fetch("SELECT * FROM action_log"):
            if row["created_at"] < await counted_until(connection):
                age = (now - row["created_at"]) / timedelta(days=1)
                sums[row["post_id"]] += BASELINE.weights.get(row["action_type"], 0) * 0.5 ** (
                    age / HALF_LIFE
                )
        assert sorted(found, key=found.__getitem__) == sorted(found, key=sums.__getitem__)


async def test_posts_long_dead_and_those_gone_are_forgotten(
    connection: asyncpg.Connection, database: Database
):
    """Posts that are gone had the highest heat of all."""
    cool, warm = await publish(connection, 2)
    now = datetime.now(UTC)
    for post, age in ((cool, DEAD * 0.5 + 0.1), (warm, DEAD * 0.5 - 0.1)):
        await act(connection, uuid4(), post, "view_post", now - timedelta(days=age))
    await act(connection, uuid4(), uuid4(), "share_post", now - timedelta(minutes=1))
    await count_popularity(database, 0.5, 0)
    assert set(await heats(connection)) == {warm}


async def test_tick_counts_what_was_done(start: Start, connection: asyncpg.Connection):
    await build(connection)
    stack = await start()
    await trigger(stack)
    assert {delivery.status for delivery in await stack.broker.drain()} == {200}
    rows = await connection.fetch("SELECT * FROM embedding.popularity_state")
    assert [row["half_life"] for row in rows] == [HALF_LIFE]
    await assert_counted(connection, rows[0]["counted_until"] - FIRST)
