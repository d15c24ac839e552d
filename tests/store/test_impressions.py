"""What was shown: kept whole and once, for a time, and never again of who was erased."""

import asyncio
from datetime import timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest

from lib.store.erasures import erase, opt_in, opt_out
from lib.store.impressions import KEEP, Impression, Showing, keep
from tests.scene import connect
from tests.store.test_query_plans import explain

ON_PLATFORMS = ["tables", "views"]

A, B = UUID(int=1), UUID(int=2)
POSTS = tuple(UUID(int=n) for n in range(11, 16))
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)


async def sign_up(connection: asyncpg.Connection, *users: UUID) -> None:
    await connection.executemany("INSERT INTO users (id) VALUES ($1)", [(user,) for user in users])


def showing(rec_id: UUID, user: UUID = A, posts: tuple[UUID, ...] = POSTS) -> Showing:
    impressions = tuple(Impression(post, place) for place, post in enumerate(posts))
    return Showing(rec_id, user, None, impressions)


async def shown(connection: asyncpg.Connection, rec_id: UUID) -> tuple[UUID, ...]:
    """Return the posts that are kept of an answer, in their order."""
    rows = await connection.fetch(
        "SELECT post_id FROM embedding.impressions WHERE rec_id = $1 ORDER BY position", rec_id
    )
    return tuple(row["post_id"] for row in rows)


async def age(connection: asyncpg.Connection, by: timedelta) -> None:
    await connection.execute("UPDATE embedding.showings SET shown_at = shown_at - $1::INTERVAL", by)


async def age_erasures(connection: asyncpg.Connection, by: timedelta) -> None:
    statement = "UPDATE embedding.erasures SET erased_at = erased_at - $1::INTERVAL"
    await connection.execute(statement, by)


async def test_showing_is_kept_with_all_that_is_known_of_it(connection: asyncpg.Connection):
    await sign_up(connection, A)
    impressions = (
        Impression(POSTS[2], 0, 0.9, 0.5, 0.3, 0.1),
        Impression(POSTS[0], 1, 0.8, 0.4, 0.3, 0.1, 0.025),
        Impression(POSTS[1], 2),
    )
    before = await connection.fetchval("SELECT clock_timestamp()")
    await keep(connection, Showing(UUID(int=5), A, "m/decay@1", impressions))
    [row] = await connection.fetch("TABLE embedding.showings")
    assert (row["rec_id"], row["user_id"], row["arm"]) == (UUID(int=5), A, "m/decay@1")
    assert before <= row["shown_at"] <= await connection.fetchval("SELECT clock_timestamp()")
    rows = await connection.fetch(
        "SELECT post_id, position, score, similarity, freshness, popularity, propensity"
        " FROM embedding.impressions WHERE rec_id = $1 ORDER BY position",
        UUID(int=5),
    )
    assert tuple(Impression(*row) for row in rows) == impressions


async def test_first_of_a_rec_id_stays_as_it_was(connection: asyncpg.Connection):
    await sign_up(connection, A, B)
    rec_id = uuid4()
    await keep(connection, showing(rec_id, posts=POSTS[:2]))
    for other in (showing(rec_id), showing(rec_id, B, POSTS[3:])):
        await keep(connection, other)
    assert await shown(connection, rec_id) == POSTS[:2]
    assert await connection.fetchval("SELECT user_id FROM embedding.showings") == A


async def test_showings_of_one_rec_id_at_once_do_not_mix(
    own: asyncpg.Connection, database_url: str
):
    await sign_up(own, A)
    connections = [await connect(database_url) for _ in range(4)]
    try:
        for _ in range(20):
            rec_id = uuid4()
            variants = [POSTS[:1], POSTS[1:], POSTS[2:4], POSTS]
            async with asyncio.TaskGroup() as group:
                for one, posts in zip(connections, variants, strict=True):
                    group.create_task(keep(one, showing(rec_id, posts=posts)))
            assert await shown(own, rec_id) in variants
    finally:
        for one in connections:
            await one.close()


async def test_nothing_is_kept_of_who_does_not_exist(connection: asyncpg.Connection):
    await keep(connection, showing(uuid4()))
    assert await connection.fetchval("SELECT count(*) FROM embedding.showings") == 0


async def test_user_who_goes_in_mid_statement_is_no_error(
    own: asyncpg.Connection, database_url: str
):
    await sign_up(own, A)
    other = await connect(database_url)
    try:
        async with own.transaction():
            await own.execute("DELETE FROM users")
            keeping = asyncio.create_task(keep(other, showing(uuid4())))
            async with asyncio.timeout(10):
                while not await own.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):  # noqa: ASYNC110  # what happens is in Postgres
                    await asyncio.sleep(0.01)
        await keeping
    finally:
        await other.close()
    assert await own.fetchval("SELECT count(*) FROM embedding.showings") == 0


async def test_user_who_is_deleted_takes_everything_along(connection: asyncpg.Connection):
    await sign_up(connection, A, B)
    for rec_id, user in ((UUID(int=5), A), (UUID(int=6), B)):
        await keep(connection, showing(rec_id, user))
        await connection.execute(
            "INSERT INTO embedding.responses VALUES ($1, $2, 'like_post', now())", rec_id, POSTS[0]
        )
    await connection.execute("DELETE FROM users WHERE id = $1", A)
    for table in ("showings", "impressions", "responses"):
        rows = await connection.fetch(f"SELECT DISTINCT rec_id FROM embedding.{table}")  # noqa: S608  # ours
        assert [row[0] for row in rows] == [UUID(int=6)], table


# For how long


async def test_old_showings_go_with_new_ones_a_few_at_a_time(connection: asyncpg.Connection):
    await sign_up(connection, A)
    for _ in range(25):
        await keep(connection, showing(uuid4(), posts=POSTS[:2]))
    await age(connection, 30 * DAY + MINUTE)
    left = []
    for _ in range(4):
        await keep(connection, showing(uuid4(), posts=POSTS[:2]))
        left.append(await connection.fetchval("SELECT count(*) FROM embedding.showings"))
    assert left == [16, 7, 3, 4]
    assert await connection.fetchval("SELECT count(*) FROM embedding.impressions") == 8


async def test_showing_of_less_than_thirty_days_stays(connection: asyncpg.Connection):
    await sign_up(connection, A)
    await keep(connection, showing(UUID(int=5)))
    await age(connection, 30 * DAY - MINUTE)
    await keep(connection, showing(UUID(int=6)))
    assert await shown(connection, UUID(int=5)) == POSTS


async def test_showing_is_kept_by_index(own: asyncpg.Connection):
    await own.execute(
        "INSERT INTO users SELECT lpad(to_hex(n), 32, '0')::UUID FROM generate_series(1, 5000) n;"
        "INSERT INTO embedding.showings SELECT gen_random_uuid(), id, 'm',"
        " now() - random() * interval '31 days' FROM users CROSS JOIN generate_series(1, 10)"
    )
    await own.execute("VACUUM ANALYZE")
    lists = [[POSTS[0]], [0], *([[None]] * 5)]
    used, _ = await explain(own, KEEP, (uuid4(), A, None, *lists))
    assert {"users_pkey", "showings_shown", "showings_pkey"} <= used


# After an erasure


async def test_what_was_kept_before_an_erasure_never_comes_back(connection: asyncpg.Connection):
    """Neither at once nor much later, nor for another user."""
    await sign_up(connection, A, B)
    await keep(connection, showing(UUID(int=5)))
    await erase(connection, A)
    for wait in (0 * MINUTE, 10 * MINUTE, 10 * DAY):
        await age_erasures(connection, wait)
        for user in (A, B):
            await keep(connection, showing(UUID(int=5), user))
            assert await shown(connection, UUID(int=5)) == ()
    [row] = await connection.fetch("TABLE embedding.showings")
    assert (row["user_id"], row["arm"]) == (None, None)


async def test_what_comes_within_five_minutes_of_an_erasure_may_be_from_before(
    connection: asyncpg.Connection,
):
    await sign_up(connection, A, B)
    await erase(connection, A)
    await age_erasures(connection, 4.9 * MINUTE)
    for rec_id, user in ((UUID(int=5), A), (UUID(int=6), B)):
        await keep(connection, showing(rec_id, user))
    assert await shown(connection, UUID(int=5)) == ()
    assert await shown(connection, UUID(int=6)) == POSTS
    await age_erasures(connection, 0.2 * MINUTE)
    await keep(connection, showing(UUID(int=7)))
    assert await shown(connection, UUID(int=7)) == POSTS


async def test_nothing_is_kept_of_who_opted_out(connection: asyncpg.Connection):
    await sign_up(connection, A)
    await opt_out(connection, A)
    await age_erasures(connection, DAY)
    await keep(connection, showing(UUID(int=5)))
    assert await shown(connection, UUID(int=5)) == ()
    await opt_in(connection, A)
    await age_erasures(connection, DAY)
    await keep(connection, showing(UUID(int=5)))
    assert await shown(connection, UUID(int=5)) == POSTS


@pytest.mark.parametrize("first", ["showing", "erasure"])
async def test_showing_and_erasure_at_once_leave_nothing(
    own: asyncpg.Connection, database_url: str, first: str
):
    await sign_up(own, A)
    other = await connect(database_url)
    calls = [lambda one: keep(one, showing(UUID(int=5))), lambda one: erase(one, A)]
    if first == "erasure":
        calls.reverse()
    try:
        async with own.transaction():
            await calls[0](own)
            second = asyncio.create_task(calls[1](other))
            async with asyncio.timeout(10):
                while not await own.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):  # noqa: ASYNC110  # what happens is in Postgres
                    await asyncio.sleep(0.01)
        await second
    finally:
        await other.close()
    assert await shown(own, UUID(int=5)) == ()
    assert await own.fetchval("SELECT count(*) FROM embedding.showings WHERE user_id = $1", A) == 0
