import asyncio
from datetime import timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest

from lib.store import figures, overview, retention
from lib.store.results import Outcome, Result, close_users
from tests.scene import connect
from tests.store.conftest import write_run

A, B = UUID(int=1), UUID(int=2)
MONTH = timedelta(days=31)


async def finished_run(connection: asyncpg.Connection, age: timedelta) -> UUID:
    """Work off a run of two users, and let it be so old."""
    run = await write_run(connection, {0: [A, B]})
    await close_users(
        connection,
        run.id,
        0,
        [
            Result(A, Outcome.PROCESSED, model_version="m", drift=0.02),
            Result(B, Outcome.FAILED, reason="X: y"),
        ],
        {"seconds read": 0.5},
    )
    await connection.execute(
        "UPDATE embedding.runs SET window_end = window_end - $2::INTERVAL WHERE id = $1",
        run.id,
        age,
    )
    return run.id


async def runs_left(connection: asyncpg.Connection) -> set[UUID]:
    return {row[0] for row in await connection.fetch("SELECT id FROM embedding.runs")}


async def test_totals_are_the_same_before_and_after_folding_and_pruning(
    connection: asyncpg.Connection,
):
    for age in (MONTH, MONTH, timedelta()):
        await finished_run(connection, age)
    before = await overview.read_totals(connection)
    assert (before["processed"], before["finished"], before["pages"]) == (3, 3, 3)
    assert before["seconds read"] == pytest.approx(1.5)
    assert before["vectors m"] == before["drift 3"] == 3
    await retention.fold_runs(connection)
    assert await overview.read_totals(connection) == before
    await retention.fold_runs(connection)
    await retention.prune(connection)
    assert len(await runs_left(connection)) == 1
    assert await overview.read_totals(connection) == before
    assert await connection.fetchval("SELECT count(*) FROM embedding.run_figures") == 4


async def test_newest_run_and_open_runs_stay_however_old(connection: asyncpg.Connection):
    older = await finished_run(connection, MONTH)
    newest = await finished_run(connection, MONTH)
    await retention.prune(connection)
    assert await runs_left(connection) == {older, newest}, "not folded yet"
    await retention.fold_runs(connection)
    await retention.prune(connection)
    assert await runs_left(connection) == {newest}
    await write_run(connection, {0: [A]})
    await connection.execute(
        "UPDATE embedding.runs SET window_end = now() - $1::INTERVAL WHERE finished_at IS NULL",
        MONTH,
    )
    await retention.fold_runs(connection)
    assert await connection.fetchval("SELECT count(*) FROM embedding.runs WHERE NOT folded") == 1


async def test_ticks_that_fold_at_once_count_each_run_once(own: asyncpg.Connection, owner_url: str):
    for _ in range(20):
        await finished_run(own, timedelta())
    ticks = [await connect(owner_url) for _ in range(4)]
    await asyncio.gather(*map(retention.fold_runs, ticks))
    assert await own.fetchval("SELECT count(*) FROM embedding.runs WHERE NOT folded") == 0
    found = await overview.read_totals(own)
    assert (found["finished"], found["pages"], found["processed"]) == (20, 20, 20)
    for tick in ticks:
        await tick.close()


async def test_pruning_takes_so_many_rows_at_a_time_and_only_what_is_over(
    connection: asyncpg.Connection,
):
    old, new = 2 * retention.ROWS, 7
    for count, age in ((old, MONTH), (new, timedelta(days=29))):
        await connection.execute(
            "INSERT INTO embedding.failures (user_id, reason, attempts, run_id, failed_at)"
            " SELECT gen_random_uuid(), 'X: y', 1, $1, now() - $3::INTERVAL"
            " FROM generate_series(1, $2::INTEGER)",
            uuid4(),
            count,
            age,
        )
    left = []
    for _ in range(3):
        await retention.prune(connection)
        left.append(await connection.fetchval("SELECT count(*) FROM embedding.failures"))
    assert left == [retention.ROWS + new, new, new]


async def test_readers_counts_add_up(connection: asyncpg.Connection):
    await figures.add_totals(connection, {"cache hit": 3, "cache miss": 1})
    await figures.add_totals(connection, {"cache hit": 2})
    found = await overview.read_totals(connection)
    assert (found["cache hit"], found["cache miss"]) == (5, 1)


async def test_page_counts_once_when_its_last_user_is_closed(connection: asyncpg.Connection):
    run = await write_run(connection, {0: [A, B], 1: [UUID(int=3)]})
    done = []
    for user in (A, B, B):
        await close_users(connection, run.id, 0, [Result(user, Outcome.FEW_POSTS)])
        [row] = await overview.read_runs(connection, 1)
        done.append(row.pages_done)
    assert done == [0, 1, 1]


async def test_repeated_closing_counts_no_drift_and_no_vector_twice(
    connection: asyncpg.Connection,
):
    run = await write_run(connection, {0: [A], 1: [B]})
    one = [Result(A, Outcome.PROCESSED, model_version="m", drift=0.5)]
    await close_users(connection, run.id, 0, one)
    await close_users(connection, run.id, 0, one)
    [row] = await overview.read_runs(connection, 1)
    assert {name: row.amounts[name] for name in ("drift 6", "drift total", "vectors m")} == {
        "drift 6": 1,
        "drift total": 0.5,
        "vectors m": 1,
    }
