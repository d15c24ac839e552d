import asyncio
from datetime import UTC, datetime, timedelta
from random import Random
from uuid import UUID

import asyncpg
import pytest

from lib.store.pages import Member, page_members
from lib.store.runs import (
    Run,
    absorb,
    clock,
    create_run,
    find_run,
    lock_open_run,
    lock_planning,
    planned_until,
)
from tests.scene import act, connect
from tests.store.conftest import write_run

ON_PLATFORMS = ["tables", "views"]
TICK = timedelta(microseconds=1)
END = datetime(2026, 1, 1, 12, tzinfo=UTC)
START = END - timedelta(hours=2)
WINDOW = (START, END)


async def plan(
    connection: asyncpg.Connection,
    *,
    absorbed: UUID | None = None,
    page_size: int = 500,
    chains: int = 1,
) -> Run:
    async with connection.transaction():
        return await create_run(connection, WINDOW, absorbed, page_size, chains)


async def members(connection: asyncpg.Connection, run: Run) -> list[Member]:
    pages = [await page_members(connection, run.id, page) for page in range(run.pages)]
    return [member for page in pages for member in page]


async def due(connection: asyncpg.Connection, user: UUID, *reasons: str) -> None:
    await connection.executemany(
        "INSERT INTO embedding.due (user_id, reason) VALUES ($1, $2)",
        [(user, reason) for reason in reasons],
    )


@pytest.mark.parametrize(
    ("at", "taken"),
    [
        (START - TICK, False),
        (START, True),
        (START + TICK, True),
        (END - TICK, True),
        (END, False),
        (END + TICK, False),
    ],
    ids=["before", "at the start", "after the start", "before the end", "at the end", "after"],
)
async def test_window_has_its_start_and_not_its_end(
    connection: asyncpg.Connection,
    at: datetime,
    taken: bool,  # noqa: FBT001  # a column of the table
):
    await act(connection, UUID(int=1), UUID(int=2), "whatever", at)
    run = await plan(connection)
    assert await members(connection, run) == [Member(UUID(int=1), remake=False)] * taken
    assert run.finished is not taken


@pytest.mark.fault(15)
async def test_two_windows_that_touch_leave_no_action_out_and_take_none_twice(
    connection: asyncpg.Connection,
):
    for n, at in enumerate((START, END - TICK, END, END + timedelta(hours=2) - TICK)):
        await act(connection, UUID(int=n), UUID(int=9), "view_post", at)
    first = await plan(connection)
    await absorb(connection, first.id)
    later = (END, END + timedelta(hours=2))
    second = await create_run(connection, later, None, 500, 1)
    assert [m.user.int for m in await members(connection, first)] == [0, 1]
    assert [m.user.int for m in await members(connection, second)] == [2, 3]


@pytest.mark.parametrize(
    ("reasons", "remake"),
    [
        (["late_action"], False),
        (["unembedded_post"], False),
        (["failed"], False),
        (["rebuild"], False),
        (["retraction"], True),
        (["deleted_action"], True),
        (["deleted_post"], True),
        (["removed"], False),
        (["failed", "deleted_post", "rebuild"], True),
    ],
    ids=str,
)
async def test_due_users_are_taken_once_and_made_anew_where_something_was_taken_away(
    connection: asyncpg.Connection,
    reasons: list[str],
    remake: bool,  # noqa: FBT001  # a column of the table
):
    user = UUID(int=1)
    await due(connection, user, *reasons)
    await act(connection, user, UUID(int=2), "view_post", START)
    run = await plan(connection)
    assert await members(connection, run) == [Member(user, remake)]
    assert await connection.fetchval("SELECT count(*) FROM embedding.due") == 0


async def test_user_noted_by_several_transactions_is_taken_once(connection: asyncpg.Connection):
    user = UUID(int=1)
    await connection.executemany(
        "INSERT INTO embedding.due (user_id, reason, noted_by) VALUES ($1, $2, $3)",
        [(user, "late_action", 1), (user, "late_action", 2), (user, "deleted_action", 3)],
    )
    run = await plan(connection)
    assert await members(connection, run) == [Member(user, remake=True)]
    assert await connection.fetchval("SELECT count(*) FROM embedding.due") == 0


async def test_plan_leaves_what_is_noted_meanwhile_and_waits_for_nobody(
    own: asyncpg.Connection, database_url: str
):
    """The user is due already; the other transaction takes back something else of theirs."""
    user, other = UUID(int=1), await connect(database_url)
    await due(own, user, "deleted_post")
    slow = other.transaction()
    await slow.start()
    await other.execute("SELECT embedding.report_deleted_actions($1)", [user])
    await other.execute(
        "INSERT INTO embedding.due (user_id, reason) VALUES ($1, 'deleted_post')"
        " ON CONFLICT DO NOTHING",
        user,
    )
    await own.execute("SET lock_timeout = '1s'")
    first = await plan(own)
    await slow.commit()
    await absorb(own, first.id)
    second = await plan(own)
    for run in (first, second):
        assert await members(own, run) == [Member(user, remake=True)]
    await other.close()


async def test_reason_that_is_none_is_refused(connection: asyncpg.Connection):
    with pytest.raises(asyncpg.CheckViolationError):
        await due(connection, UUID(int=1), "boredom")


async def test_run_takes_over_what_is_left_of_the_absorbed_one_and_keeps_its_remakes(
    connection: asyncpg.Connection,
):
    left, remade, active, both = (UUID(int=n) for n in range(4))
    old = await write_run(connection, {0: [left, both], 7: [remade]})
    await connection.execute(
        "UPDATE embedding.run_users SET remake = true WHERE user_id = ANY ($1)", [remade, both]
    )
    for user in (active, both):
        await act(connection, user, UUID(int=9), "view_post", START)
    await absorb(connection, old.id)
    run = await plan(connection, absorbed=old.id)
    assert await members(connection, run) == [
        Member(left, remake=False),
        Member(remade, remake=True),
        Member(active, remake=False),
        Member(both, remake=True),
    ]
    assert await page_members(connection, old.id, 0) == []
    assert (run.users, run.pages) == (4, 1)


async def test_leftovers_of_other_runs_stay_where_they_are(connection: asyncpg.Connection):
    old = await write_run(connection, {0: [UUID(int=1)]})
    await absorb(connection, old.id)
    run = await plan(connection)
    assert run.users == 0
    assert len(await page_members(connection, old.id, 0)) == 1


@pytest.mark.parametrize("page_size", [1, 2, 3, 7, 8, 500])
async def test_pages_are_cut_by_size_in_the_order_of_ids(
    connection: asyncpg.Connection, page_size: int
):
    random = Random(page_size)
    users = [UUID(int=random.getrandbits(128)) for _ in range(7)]
    for user in users:
        await act(connection, user, UUID(int=9), "view_post", START)
        await act(connection, user, UUID(int=8), "view_post", END - TICK)
    run = await plan(connection, page_size=page_size, chains=3)
    found = [
        [member.user for member in await page_members(connection, run.id, page)]
        for page in range(run.pages)
    ]
    wanted = sorted(users)
    assert found == [wanted[n : n + page_size] for n in range(0, 7, page_size)]
    assert await page_members(connection, run.id, run.pages) == []
    assert (run.users, run.chains, run.finished) == (7, 3, False)


async def test_run_is_stored_as_it_is_returned(connection: asyncpg.Connection):
    await act(connection, UUID(int=1), UUID(int=9), "view_post", START)
    run = await plan(connection, chains=4)
    assert await find_run(connection, run.id) == run
    assert (run.window_start, run.window_end, run.progressed_at) == (START, END, END)
    async with connection.transaction():
        assert await lock_open_run(connection) == run


async def test_empty_list_makes_a_run_that_is_finished_at_once(connection: asyncpg.Connection):
    run = await plan(connection)
    assert (run.users, run.pages, run.finished) == (0, 0, True)
    assert await find_run(connection, run.id) == run
    assert await lock_open_run(connection) is None
    assert await planned_until(connection, END) == END


async def test_run_that_never_was_is_not_found(connection: asyncpg.Connection):
    assert await find_run(connection, UUID(int=1)) is None
    assert await planned_until(connection, END) is None
    assert await lock_open_run(connection) is None


async def test_at_most_one_run_is_open(connection: asyncpg.Connection):
    await write_run(connection, {0: [UUID(int=1)]})
    await act(connection, UUID(int=1), UUID(int=9), "view_post", START)
    with pytest.raises(asyncpg.UniqueViolationError, match="runs_one_open"):
        await plan(connection)


async def test_absorbed_run_is_closed_and_says_so(connection: asyncpg.Connection):
    run = await write_run(connection, {0: [UUID(int=1)]})
    await absorb(connection, run.id)
    found = await find_run(connection, run.id)
    assert found is not None
    assert found.finished
    assert await connection.fetchval("SELECT absorbed FROM embedding.runs")


@pytest.mark.parametrize(
    ("now", "until"),
    [
        (END + timedelta(hours=9), END + timedelta(hours=1)),
        (END + timedelta(hours=3), END + timedelta(hours=1)),
        (END + timedelta(hours=1), END + timedelta(hours=1)),
        (END + timedelta(hours=1) - TICK, END),
        (END, END),
        (END - TICK, None),
    ],
    ids=[
        "later",
        "at the furthest",
        "at the last",
        "before the last",
        "at the first",
        "before all",
    ],
)
async def test_planned_is_until_the_end_of_the_last_window_that_is_not_in_the_future(
    connection: asyncpg.Connection, now: datetime, until: datetime | None
):
    """As after fail-overs to databases whose clocks are ahead and behind."""
    for hours in (2, 0, 3, 1):
        window = (START, END + timedelta(hours=hours))
        await create_run(connection, window, None, 500, 1)
    assert await planned_until(connection, now) == until


async def test_planning_waits_for_whoever_plans(own: asyncpg.Connection, database_url: str):
    other = await connect(database_url)
    async with own.transaction():
        await lock_planning(own)
        begun = await clock(own)
        waiting = asyncio.create_task(_plan_clock(other))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        ended = await clock(own)
    assert await asyncio.wait_for(waiting, 5) > ended > begun
    await other.close()


async def _plan_clock(connection: asyncpg.Connection) -> datetime:
    async with connection.transaction():
        await lock_planning(connection)
        return await clock(connection)
