"""Every path by which a user becomes due, end to end; PATHS says which test shows which."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from asyncpg import Connection
from valkey.asyncio import Valkey as Redis

from dev.postgres import Postgres
from dev.stack import ROOT, Stack
from lib.store.due import report_deleted_actions, report_deleted_posts, report_late_actions
from tests.conftest import Start, trigger
from tests.promises import (
    Row,
    actions_by_user,
    assert_converged,
    assert_mirrored,
    rows,
    usable_embeddings,
)
from tests.reference import cosine, interest_vector
from tests.scene import act, build, connect

ON_PLATFORMS = ["tables", "views"]

PATHS = {
    "active in the window": "test_ticks.py: test_the_second_run_takes_only_who_was_active_since",
    "left of an absorbed run": (
        "test_ticks.py: test_a_run_that_hangs_is_absorbed_and_its_users_are_done"
    ),
    "a retraction in the window": (
        "test_ticks.py: test_a_retraction_under_the_minimum_remakes_and_then_removes_the_vector"
    ),
    "late_action": "test_due.py: test_late_action_reaches_the_vector",
    "retraction": "test_due.py: test_vector_is_made_anew_from_too_little_only_for_these_reasons",
    "a retraction with an earlier time": (
        "test_due.py: test_retraction_with_an_earlier_time_remakes_the_vector"
    ),
    "deleted_action": "test_due.py: test_deleted_actions_leave_the_vector_and_the_last_takes_it",
    "a changed action": "test_due.py: test_action_given_to_somebody_else_changes_both_vectors",
    "deleted_post": "test_due.py: test_deleted_posts_leave_every_vector_and_the_last_takes_it",
    "unembedded_post": (
        "test_ticks.py: test_a_post_embedded_an_hour_after_it_was_liked_reaches_the_vector"
    ),
    "failed": "test_page.py: test_a_poisoned_user_is_recorded_and_all_others_are_written",
    "rebuild": (
        "test_rebuild.py:"
        " test_change_touches_who_becomes_due_and_after_a_rebuild_all_who_acted_lately"
    ),
    "removed": "test_due.py: test_vector_removed_by_sql_is_made_again",
    "a user deleted": "test_due.py: test_user_deleted_by_sql_loses_the_key_at_the_next_run",
    "erased": (
        "store/test_erasures.py: test_forgotten_user_leaves_the_wish_and_the_work_and_nothing_else"
    ),
    "opted_in": "store/test_erasures.py: test_objection_stands_until_it_is_taken_back",
}

REMADE = {"retraction", "deleted_action", "deleted_post"}

# As the README has it for a platform of views.
ON_VIEWS = """
CREATE FUNCTION embedding_deleted_content() RETURNS TRIGGER
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
  PERFORM embedding.report_deleted_posts(ARRAY(SELECT content_id FROM gone));
  RETURN NULL;
END
$$;
CREATE FUNCTION embedding_deleted_events() RETURNS TRIGGER
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
  PERFORM embedding.report_deleted_actions(ARRAY(SELECT actor FROM gone));
  RETURN NULL;
END
$$;
CREATE FUNCTION embedding_late_events() RETURNS TRIGGER
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
  PERFORM embedding.report_late_actions(
    ARRAY(SELECT actor FROM came WHERE happened < now() - interval '450 seconds')
  );
  RETURN NULL;
END
$$;
CREATE FUNCTION embedding_changed_events() RETURNS TRIGGER
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
  PERFORM embedding.report_deleted_actions(ARRAY(SELECT actor FROM gone));
  PERFORM embedding.report_late_actions(ARRAY(SELECT actor FROM came));
  RETURN NULL;
END
$$;
CREATE TRIGGER embedding_deleted_content AFTER DELETE ON content
REFERENCING OLD TABLE AS gone
FOR EACH STATEMENT EXECUTE FUNCTION embedding_deleted_content();
CREATE TRIGGER embedding_deleted_events AFTER DELETE ON events
REFERENCING OLD TABLE AS gone
FOR EACH STATEMENT EXECUTE FUNCTION embedding_deleted_events();
CREATE TRIGGER embedding_late_events AFTER INSERT ON events
REFERENCING NEW TABLE AS came
FOR EACH STATEMENT EXECUTE FUNCTION embedding_late_events();
CREATE TRIGGER embedding_changed_events AFTER UPDATE ON events
REFERENCING OLD TABLE AS gone NEW TABLE AS came
FOR EACH STATEMENT EXECUTE FUNCTION embedding_changed_events();
"""

type Call = Callable[[Connection, Sequence[UUID]], Awaitable[int]]
type Report = Callable[[Connection, Call, Sequence[UUID]], Awaitable[None]]

NO_OVERLAP = {"WINDOW_OVERLAP_SECONDS": "0"}


async def apply_triggers(postgres: Postgres, connection: Connection, platform: str) -> None:
    if platform == "views":
        await connection.execute(ON_VIEWS)
    else:
        database = await connection.fetchval("SELECT current_database()")
        await postgres.apply(database, ROOT / "db" / "triggers.sql")


async def by_call(connection: Connection, call: Call, ids: Sequence[UUID]) -> None:
    assert await call(connection, ids) > 0


async def by_nobody(_connection: Connection, _call: Call, _ids: Sequence[UUID]) -> None:
    """Leave it to the triggers."""


@pytest.fixture(params=["call", "trigger"])
async def report(
    request: pytest.FixtureRequest, postgres: Postgres, connection: Connection, platform: str
) -> Report:
    """How the platform reports what it does: by a call in its transaction, or by triggers."""
    if request.param == "call":
        return by_call
    await apply_triggers(postgres, connection, platform)
    return by_nobody


@dataclass(frozen=True)
class Likes:
    """Posts, and three users: of the first three, of the first and the next three, of the last."""

    posts: tuple[UUID, ...]
    first: UUID
    second: UUID
    bystander: UUID


@pytest.fixture
async def likes(connection: Connection) -> Likes:
    scene = await build(connection, users=0, posts=12)
    found = await connection.fetch(
        "INSERT INTO users SELECT gen_random_uuid() FROM generate_series(1, 3) RETURNING id"
    )
    users = [row["id"] for row in found]
    at = datetime.now(UTC) - timedelta(days=2)
    for user, liked in zip(users, ((0, 1, 2), (0, 3, 4, 5), (9, 10, 11)), strict=True):
        for n in liked:
            await act(connection, user, scene.posts[n], "like_post", at)
    return Likes(scene.posts, *users)


async def run(stack: Stack) -> None:
    await trigger(stack)
    assert {delivery.status for delivery in await stack.broker.drain()} == {200}


async def taken(connection: Connection) -> int:
    """Return how many users the last run took."""
    return await connection.fetchval(
        "SELECT users FROM embedding.runs ORDER BY number DESC LIMIT 1"
    )


async def assert_made_of_what_is_left(
    connection: Connection, redis: Redis, users: Sequence[UUID]
) -> dict[UUID, Row]:
    """Hold that each has what the reference makes of however little there is, or nothing."""
    stored, log = await rows(connection), await actions_by_user(connection)
    embeddings = await usable_embeddings(connection)
    for user in users:
        now = await connection.fetchval("SELECT clock_timestamp()")
        wanted = interest_vector(log[user], embeddings, now, minimum=1)
        assert (user in stored) == (wanted is not None)
        if wanted is not None:
            assert cosine(stored[user].embedding, wanted) >= 0.999999
    await assert_mirrored(connection, redis)
    return stored


def test_every_path_has_its_test():
    for place in PATHS.values():
        file, _, test = place.partition(": ")
        path = ROOT / "tests" / file
        assert not test or f"async def {test}(" in path.read_text(), place


async def test_every_reason_is_a_path(connection: Connection):
    assert await reasons(connection) <= set(PATHS)


async def reasons(connection: Connection) -> set[str]:
    rule = await connection.fetchval(
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'due_reason_check'"
    )
    found = set(re.findall(r"'(\w+)'", rule))
    assert len(found) >= 10
    return found


async def test_vector_is_made_anew_from_too_little_only_for_these_reasons(
    start: Start, connection: Connection, redis: Redis, likes: Likes
):
    stack = await start(NO_OVERLAP)
    await run(stack)
    before = await rows(connection)
    every = sorted(await reasons(connection))
    users = dict(zip(every, await like_as(connection, likes.first, len(every)), strict=True))
    await run(stack)
    await connection.execute(
        "DELETE FROM action_log WHERE post_id = $1 AND user_id = ANY ($2)",
        likes.posts[0],
        list(users.values()),
    )
    old = await rows(connection)
    for reason, user in users.items():
        await connection.execute(
            "INSERT INTO embedding.due (user_id, reason) VALUES ($1, $2)", user, reason
        )
    await run(stack)
    assert await taken(connection) == len(every)
    new = await rows(connection)
    assert {reason for reason, user in users.items() if new[user] != old[user]} == REMADE
    await assert_made_of_what_is_left(connection, redis, [users[reason] for reason in REMADE])
    assert {user: new[user] for user in before} == before


async def like_as(connection: Connection, user: UUID, count: int) -> list[UUID]:
    """Make users who have done what this one has, just now."""
    found = await connection.fetch(
        "INSERT INTO users SELECT gen_random_uuid() FROM generate_series(1, $1) RETURNING id",
        count,
    )
    users = [row["id"] for row in found]
    await connection.execute(
        "INSERT INTO action_log (user_id, post_id, action_type, created_at)"
        " SELECT other, post_id, action_type, clock_timestamp()"
        " FROM action_log, unnest($2::UUID[]) AS other WHERE user_id = $1",
        user,
        users,
    )
    return users


@pytest.mark.fault(15)
async def test_late_action_reaches_the_vector(
    start: Start, connection: Connection, redis: Redis, likes: Likes, report: Report
):
    stack = await start(NO_OVERLAP)
    await run(stack)
    before = await rows(connection)
    async with connection.transaction():
        at = datetime.now(UTC) - timedelta(days=1)
        await act(connection, likes.first, likes.posts[7], "share_post", at)
        await report(connection, report_late_actions, [likes.first])
    await run(stack)
    assert await taken(connection) == 1
    after = await rows(connection)
    assert after[likes.first].embedding != before[likes.first].embedding
    await assert_converged(connection, redis, [likes.first, likes.second, likes.bystander])


async def test_retraction_with_an_earlier_time_remakes_the_vector(
    start: Start, connection: Connection, redis: Redis, likes: Likes, report: Report
):
    stack = await start(NO_OVERLAP)
    await run(stack)
    for posts in (likes.posts[:1], likes.posts[1:3]):
        async with connection.transaction():
            for post in posts:
                at = datetime.now(UTC) - timedelta(days=1)
                await act(connection, likes.first, post, "unlike_post", at)
            await report(connection, report_late_actions, [likes.first])
        await run(stack)
        assert await taken(connection) == 1
        stored = await assert_made_of_what_is_left(connection, redis, [likes.first])
        assert (likes.first in stored) == (len(posts) == 1)


async def test_deleted_actions_leave_the_vector_and_the_last_takes_it(
    start: Start, connection: Connection, redis: Redis, likes: Likes, report: Report
):
    stack = await start(NO_OVERLAP)
    await run(stack)
    before = await rows(connection)
    for posts in (likes.posts[:1], likes.posts[1:3]):
        async with connection.transaction():
            await connection.execute(
                "DELETE FROM action_log WHERE user_id = $1 AND post_id = ANY ($2)",
                likes.first,
                posts,
            )
            await report(connection, report_deleted_actions, [likes.first])
        await run(stack)
        assert await taken(connection) == 1
        stored = await assert_made_of_what_is_left(connection, redis, [likes.first])
        assert (likes.first in stored) == (len(posts) == 1)
    assert stored == {user: before[user] for user in (likes.second, likes.bystander)}


async def test_action_given_to_somebody_else_changes_both_vectors(
    start: Start, connection: Connection, redis: Redis, likes: Likes, report: Report
):
    stack = await start(NO_OVERLAP)
    await run(stack)
    async with connection.transaction():
        await connection.execute(
            "UPDATE action_log SET user_id = $2 WHERE user_id = $1 AND post_id = $3",
            likes.first,
            likes.second,
            likes.posts[1],
        )
        await report(connection, report_deleted_actions, [likes.first])
        await report(connection, report_late_actions, [likes.second])
    await run(stack)
    assert await taken(connection) == 2
    await assert_made_of_what_is_left(connection, redis, [likes.first, likes.second])


@pytest.mark.fault(16)
async def test_deleted_posts_leave_every_vector_and_the_last_takes_it(
    start: Start, connection: Connection, redis: Redis, likes: Likes, report: Report
):
    stack = await start(NO_OVERLAP)
    await run(stack)
    bystander = (await rows(connection))[likes.bystander]
    for posts, due in ((likes.posts[:1], 2), (likes.posts[1:3], 1)):
        await delete_posts(connection, posts, report)
        await run(stack)
        assert await taken(connection) == due
        stored = await assert_made_of_what_is_left(connection, redis, [likes.first, likes.second])
        assert (likes.first in stored) == (len(posts) == 1)
    assert stored[likes.bystander] == bystander


async def delete_posts(connection: Connection, posts: Sequence[UUID], report: Report) -> None:
    async with connection.transaction():
        await report(connection, report_deleted_posts, posts)
        await connection.execute("DELETE FROM posts WHERE id = ANY ($1)", posts)


async def test_vector_removed_by_sql_is_made_again(
    start: Start, connection: Connection, redis: Redis, likes: Likes
):
    stack = await start(NO_OVERLAP)
    await run(stack)
    await connection.execute("DELETE FROM user_embeddings WHERE user_id = $1", likes.first)
    await run(stack)
    assert await taken(connection) == 1
    users = [likes.first, likes.second, likes.bystander]
    assert await assert_converged(connection, redis, users) == 3


@pytest.mark.fault(16)
async def test_user_deleted_by_sql_loses_the_key_at_the_next_run(
    start: Start, connection: Connection, redis: Redis, likes: Likes
):
    stack = await start(NO_OVERLAP)
    await run(stack)
    await connection.execute("DELETE FROM users WHERE id = $1", likes.first)
    assert await redis.exists(f"user:{likes.first}:embedding")
    await run(stack)
    assert await taken(connection) == 1
    users = [likes.first, likes.second, likes.bystander]
    assert await assert_converged(connection, redis, users) == 2


# While others are at work


@pytest.fixture
async def other(owner_url: str) -> AsyncIterator[Connection]:
    """A second connection, which waits for no lock."""
    opened = await connect(owner_url)
    await opened.execute("SET lock_timeout = '1s'")
    yield opened
    await opened.close()


async def test_what_is_taken_back_while_a_run_takes_an_older_note_is_not_lost(  # noqa: PLR0917  # fixtures
    start: Start,
    connection: Connection,
    redis: Redis,
    likes: Likes,
    report: Report,
    other: Connection,
):
    """The plan finds the user due, and takes the note, as the second post is not yet gone."""
    stack = await start(NO_OVERLAP)
    await run(stack)
    await delete_posts(connection, likes.posts[:1], report)
    slow = other.transaction()
    await slow.start()
    await delete_posts(other, likes.posts[1:2], report)
    await run(stack)
    assert await taken(connection) == 2
    await assert_made_of_what_is_left(connection, redis, [likes.first, likes.second])
    await slow.commit()
    await run(stack)
    assert await taken(connection) == 1
    await assert_made_of_what_is_left(connection, redis, [likes.first])


async def test_transactions_that_note_the_same_users_wait_for_nobody(
    connection: Connection, likes: Likes, report: Report, other: Connection
):
    await like_as(connection, likes.first, 50)
    await like_as(connection, likes.second, 50)
    await connection.execute("SET lock_timeout = '1s'")
    async with connection.transaction(), other.transaction():
        # each takes the other's users second
        for one, two in ((1, 3), (4, 2)):
            await delete_posts(connection, [likes.posts[one]], report)
            await delete_posts(other, [likes.posts[two]], report)
    noted = await connection.fetchval("SELECT count(DISTINCT user_id) FROM embedding.due")
    assert noted == 102


async def test_what_is_undone_notes_nobody(connection: Connection, likes: Likes, report: Report):
    undone = connection.transaction()
    await undone.start()
    await delete_posts(connection, likes.posts[:3], report)
    await undone.rollback()
    assert await connection.fetchval("SELECT count(*) FROM embedding.due") == 0
