"""What becomes of actions that come in: in the log, in what is due, and in the responses."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest

from lib.store.erasures import erase, opt_out
from lib.store.events import LOG, Action, Fate, log
from lib.store.impressions import Impression, Showing, keep
from tests.scene import connect
from tests.store.test_query_plans import explain

ON_PLATFORMS = ["tables", "views"]

A, B = UUID(int=1), UUID(int=2)
P, Q = UUID(int=11), UUID(int=12)
REC = UUID(int=21)
SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)


async def settle(connection: asyncpg.Connection) -> None:
    """Make two users and two posts; A was shown the first of them."""
    await connection.executemany("INSERT INTO users (id) VALUES ($1)", [(A,), (B,)])
    await connection.executemany("INSERT INTO posts (id) VALUES ($1)", [(P,), (Q,)])
    await keep(connection, Showing(REC, A, None, (Impression(P, 0),)))


async def clock(connection: asyncpg.Connection) -> datetime:
    return await connection.fetchval("SELECT clock_timestamp()")


async def logged(connection: asyncpg.Connection) -> list[tuple[UUID, UUID, str]]:
    rows = await connection.fetch(
        "SELECT user_id, post_id, action_type FROM action_log ORDER BY id"
    )
    return [tuple(row) for row in rows]


async def due(connection: asyncpg.Connection) -> set[tuple[UUID, str]]:
    rows = await connection.fetch("SELECT user_id, reason FROM embedding.due")
    return {tuple(row) for row in rows}


async def responses(connection: asyncpg.Connection) -> list[tuple[object, ...]]:
    rows = await connection.fetch("TABLE embedding.responses ORDER BY post_id, action_type")
    return [tuple(row) for row in rows]


# In the log


async def test_action_is_of_now_by_the_database_s_clock_and_nobody_is_due(
    connection: asyncpg.Connection,
):
    await settle(connection)
    before = await clock(connection)
    assert await log(connection, [Action(A, P, "like_post")]) == [Fate.STORED]
    assert await logged(connection) == [(A, P, "like_post")]
    at = await connection.fetchval("SELECT created_at FROM action_log")
    assert before <= at <= await clock(connection)
    assert await due(connection) == set()


async def test_earlier_action_keeps_its_time_and_makes_the_user_due(
    connection: asyncpg.Connection,
):
    await settle(connection)
    earlier = await clock(connection) - DAY
    actions = [Action(A, P, "like_post", earlier), Action(B, P, "like_post")]
    assert await log(connection, actions) == [Fate.STORED] * 2
    assert await due(connection) == {(A, "late_action")}
    rows = await connection.fetch("SELECT user_id FROM action_log WHERE created_at = $1", earlier)
    assert [row[0] for row in rows] == [A]


async def test_what_cannot_be_logged_is_told_and_leaves_nothing(connection: asyncpg.Connection):
    await settle(connection)
    ahead = await clock(connection) + DAY
    earlier = await clock(connection) - DAY
    actions = [
        Action(uuid4(), P, "like_post", earlier, "one"),
        Action(A, uuid4(), "like_post", earlier, "two"),
        Action(A, P, "like_post", ahead, "three", REC),
        Action(A, P, "share_post", event_id="four"),
    ]
    assert await log(connection, actions) == [Fate.NO_USER, Fate.NO_POST, Fate.AHEAD, Fate.STORED]
    assert await logged(connection) == [(A, P, "share_post")]
    assert await due(connection) == set()
    assert await responses(connection) == []
    rows = await connection.fetch("SELECT event_id FROM embedding.events")
    assert [row[0] for row in rows] == ["four"]


# Once


async def test_first_of_an_event_wins(connection: asyncpg.Connection):
    """Within a call, and of later calls, whatever they say it was."""
    await settle(connection)
    actions = [
        Action(A, P, "like_post", event_id="x"),
        Action(A, P, "like_post", event_id="x"),
        Action(B, Q, "share_post", event_id="x"),
        Action(A, P, "like_post"),
    ]
    fates = [Fate.STORED, Fate.REPEATED, Fate.REPEATED, Fate.STORED]
    assert await log(connection, actions) == fates
    assert await log(connection, actions[2:3]) == [Fate.REPEATED]
    assert await logged(connection) == [(A, P, "like_post")] * 2


async def test_event_that_could_not_be_logged_may_come_again(connection: asyncpg.Connection):
    await settle(connection)
    broken, mended = (
        Action(A, uuid4(), "like_post", None, "x"),
        Action(A, P, "like_post", None, "x"),
    )
    assert await log(connection, [broken, mended]) == [Fate.NO_POST, Fate.STORED]
    assert await log(connection, [broken, mended]) == [Fate.NO_POST, Fate.REPEATED]


async def test_repeat_leaves_nothing_due_and_no_response(connection: asyncpg.Connection):
    await settle(connection)
    await log(connection, [Action(A, P, "like_post", event_id="x")])
    earlier = await clock(connection) - DAY
    repeat = Action(A, P, "share_post", earlier, "x", REC)
    assert await log(connection, [repeat]) == [Fate.REPEATED]
    assert await due(connection) == set()
    assert await responses(connection) == []


async def test_events_are_known_for_seven_days_and_then_go_a_few_at_a_time(
    connection: asyncpg.Connection,
):
    await settle(connection)
    actions = [Action(A, P, "view_post", event_id=str(n)) for n in range(100)]
    await log(connection, actions)
    await connection.execute("UPDATE embedding.events SET came_at = now() - interval '6.99 days'")
    assert await log(connection, actions[:1]) == [Fate.REPEATED]
    await connection.execute("UPDATE embedding.events SET came_at = now() - interval '7.01 days'")
    left = []
    for _ in range(3):
        await log(connection, [Action(A, P, "view_post")] * 20)
        left.append(await connection.fetchval("SELECT count(*) FROM embedding.events"))
    assert left == [50, 0, 0]


async def test_same_events_at_once_are_logged_once(own: asyncpg.Connection, database_url: str):
    """In orders that would have two calls wait for each other crosswise."""
    await settle(own)
    connections = [await connect(database_url) for _ in range(4)]
    stored = 0
    try:
        for turn in range(10):
            actions = [Action(A, P, "like_post", None, f"{turn}-{n}", REC) for n in range(100)]
            async with asyncio.TaskGroup() as group:
                calls = [
                    group.create_task(log(one, actions if place % 2 else actions[::-1]))
                    for place, one in enumerate(connections)
                ]
            stored += sum(call.result().count(Fate.STORED) for call in calls)
    finally:
        for one in connections:
            await one.close()
    assert stored == len(await logged(own)) == 1000


# Responses


async def test_response_is_kept_of_the_post_that_was_shown_to_this_user(
    connection: asyncpg.Connection,
):
    """The action itself is logged in any case."""
    await settle(connection)
    earlier = await clock(connection) - SECOND
    await keep(connection, Showing(UUID(int=22), B, None, (Impression(Q, 0),)))
    actions = [
        Action(A, P, "like_post", earlier, None, REC),
        Action(A, P, "view_post", earlier + SECOND / 2, None, REC),
        Action(A, P, "view_post", earlier, None, REC),
        Action(A, P, "share_post"),
        Action(A, Q, "like_post", None, None, REC),
        Action(B, P, "like_post", None, None, REC),
        Action(A, Q, "like_post", None, None, UUID(int=22)),
        Action(A, P, "bookmark_post", None, None, uuid4()),
    ]
    assert await log(connection, actions) == [Fate.STORED] * len(actions)
    assert await responses(connection) == [
        (REC, P, "like_post", earlier),
        (REC, P, "view_post", earlier),
    ]
    await log(connection, [Action(A, P, "like_post", None, None, REC)])
    assert len(await responses(connection)) == 2
    assert len(await logged(connection)) == len(actions) + 1


# Erasure


@pytest.mark.parametrize("forget", [erase, opt_out])
async def test_event_of_before_an_erasure_stays_known_and_names_nobody(
    connection: asyncpg.Connection, forget: Callable[[asyncpg.Connection, UUID], Awaitable[object]]
):
    await settle(connection)
    events = [Action(A, P, "like_post", None, "x", REC), Action(B, P, "like_post", None, "y")]
    await log(connection, events)
    await forget(connection, A)
    assert await log(connection, events) == [Fate.REPEATED] * 2
    rows = await connection.fetch("SELECT event_id, user_id FROM embedding.events ORDER BY user_id")
    assert [tuple(row) for row in rows] == [("y", B), (None, None)]
    assert await responses(connection) == []


async def test_user_who_is_deleted_takes_the_events_along(connection: asyncpg.Connection):
    await settle(connection)
    await log(
        connection, [Action(A, P, "like_post", None, "x"), Action(B, P, "like_post", None, "y")]
    )
    await connection.execute("DELETE FROM users WHERE id = $1", A)
    rows = await connection.fetch("SELECT event_id FROM embedding.events")
    assert [row[0] for row in rows] == ["y"]


async def test_erasure_waits_for_a_call_under_way_and_leaves_nothing_of_it(
    own: asyncpg.Connection, database_url: str
):
    await settle(own)
    other = await connect(database_url)
    try:
        async with own.transaction():
            await log(own, [Action(A, P, "like_post", None, "x", REC)])
            erasing = asyncio.create_task(erase(other, A))
            async with asyncio.timeout(10):
                while not await own.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):  # noqa: ASYNC110  # what happens is in Postgres
                    await asyncio.sleep(0.01)
        await erasing
    finally:
        await other.close()
    assert await own.fetchval("SELECT count(*) FROM embedding.events WHERE user_id = $1", A) == 0
    assert await responses(own) == []


# How it is found


async def test_what_a_call_needs_is_found_by_index(own: asyncpg.Connection):
    await own.execute(
        "INSERT INTO users SELECT lpad(to_hex(n), 32, '0')::UUID FROM generate_series(1, 5000) n;"
        "INSERT INTO posts SELECT lpad(to_hex(n), 32, '0')::UUID FROM generate_series(1, 5000) n;"
        "INSERT INTO embedding.showings SELECT gen_random_uuid(), id, 'm', now() FROM users"
        " CROSS JOIN generate_series(1, 4);"
        "INSERT INTO embedding.impressions SELECT rec_id, gen_random_uuid(), n"
        " FROM embedding.showings CROSS JOIN generate_series(0, 3) n;"
        "INSERT INTO embedding.events SELECT uuid_send(gen_random_uuid()), 'e', id,"
        " now() - random() * interval '7 days' FROM users CROSS JOIN generate_series(1, 4)"
    )
    await own.execute("VACUUM ANALYZE")
    n = 20
    lists = [[A] * n, [P] * n, ["like_post"] * n, [None] * n, [f"{i}" for i in range(n)], [REC] * n]
    used, _ = await explain(own, LOG, lists)
    posts = {"posts_pkey", "content_pkey"}
    assert used & posts
    assert used >= {
        "users_pkey",
        "showings_pkey",
        "impressions_pkey",
        "events_came",
        "events_pkey",
    }
