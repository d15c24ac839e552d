"""What the platform's reports and triggers note, and what not."""

import re
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from dev.postgres import Postgres
from dev.stack import ROOT
from lib.settings import table
from lib.store.due import report_deleted_actions, report_deleted_posts, report_late_actions
from tests.scene import act

TRIGGERS = ROOT / "db" / "triggers.sql"
A, B, NOBODY = UUID(int=1), UUID(int=2), UUID(int=0)
POSTS = [UUID(int=n) for n in range(10, 14)]


async def log(connection: asyncpg.Connection) -> None:
    """Let A and B act on posts an hour ago, both on the first; and A long ago on the last."""
    now = datetime.now(UTC)
    await connection.executemany("INSERT INTO posts (id) VALUES ($1)", [(p,) for p in POSTS])
    for user, post in ((A, 0), (A, 1), (B, 0), (B, 2), (B, 2)):
        await act(connection, user, POSTS[post], "like_post", now - timedelta(hours=1))
    await act(connection, A, POSTS[3], "like_post", now - timedelta(days=91))


async def noted(connection: asyncpg.Connection) -> set[tuple[UUID, str]]:
    rows = await connection.fetch("SELECT user_id, reason FROM embedding.due")
    return {tuple(row) for row in rows}


async def test_report_notes_each_user_once_and_says_how_many(connection: asyncpg.Connection):
    await log(connection)
    assert await report_deleted_posts(connection, POSTS[:1]) == 2
    assert await report_deleted_posts(connection, POSTS) == 0
    assert await report_deleted_actions(connection, [A, A]) == 1
    assert await report_late_actions(connection, [B, A, B]) == 2
    assert await noted(connection) == {
        (A, "deleted_post"),
        (B, "deleted_post"),
        (A, "deleted_action"),
        (A, "late_action"),
        (B, "late_action"),
    }


async def test_report_of_nothing_notes_nobody(connection: asyncpg.Connection):
    await log(connection)
    assert await report_deleted_posts(connection, []) == 0
    assert await report_deleted_posts(connection, [A]) == 0
    assert await report_late_actions(connection, []) == 0
    for array in ("ARRAY[NULL]::UUID[]", "NULL"):
        for report in ("deleted_posts", "deleted_actions", "late_actions"):
            statement = f"SELECT embedding.report_{report}({array})"
            assert await connection.fetchval(statement) == 0
    assert await noted(connection) == set()


@pytest.fixture
async def watched(own: asyncpg.Connection, postgres: Postgres) -> asyncpg.Connection:
    """Lend a database with a log and the triggers; the log has a column of the platform's own."""
    await own.execute("ALTER TABLE action_log ADD seen BOOLEAN")
    await log(own)
    await postgres.apply(await own.fetchval("SELECT current_database()"), TRIGGERS)
    return own


LOG = "INSERT INTO action_log (user_id, post_id, action_type, created_at) VALUES "
CHANGES: dict[str, tuple[str, set[tuple[UUID, str]]]] = {
    "an action now": (
        LOG + f"('{A}', '{A}', 'like_post', now())",
        set(),
    ),
    "an action some minutes ago": (
        LOG + f"('{A}', '{A}', 'like_post', now() - interval '440 seconds')",
        set(),
    ),
    "late, among others": (
        LOG + f"('{A}', '{A}', 'like_post', now()),"
        f" ('{B}', '{A}', 'like_post', now() - interval '451 seconds')",
        {(B, "late_action")},
    ),
    "all actions deleted": (
        "DELETE FROM action_log",
        {(A, "deleted_action"), (B, "deleted_action")},
    ),
    "an old log cleared out": (
        "DELETE FROM action_log WHERE created_at < now() - interval '90 days'",
        set(),
    ),
    "no action deleted": ("DELETE FROM action_log WHERE false", set()),
    "an action given to another user": (
        f"UPDATE action_log SET user_id = '{A}' WHERE user_id = '{B}'",  # noqa: S608  # constants
        {(B, "deleted_action"), (A, "late_action")},
    ),
    "another type": (
        f"UPDATE action_log SET action_type = 'share_post' WHERE user_id = '{B}'",  # noqa: S608  # constants
        {(B, "deleted_action"), (B, "late_action")},
    ),
    "an old action taken from its user": (
        f"UPDATE action_log SET user_id = '{NOBODY}' WHERE created_at < now() - interval '90 days'",  # noqa: S608  # constants
        {(NOBODY, "late_action")},
    ),
    "a column of the platform's own": ("UPDATE action_log SET seen = true", set()),
    "a post deleted": (
        f"DELETE FROM posts WHERE id = '{POSTS[0]}'",  # noqa: S608  # constants
        {(A, "deleted_post"), (B, "deleted_post")},
    ),
    "all posts deleted": ("DELETE FROM posts", {(A, "deleted_post"), (B, "deleted_post")}),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_trigger_notes_what_a_window_does_not_show(watched: asyncpg.Connection, change: str):
    statement, users = CHANGES[change]
    await watched.execute(statement)
    assert await noted(watched) == users


async def test_log_that_goes_with_its_posts_is_noted(watched: asyncpg.Connection):
    """Where the log has a foreign key, who acted is gone before anybody can look."""
    await watched.execute(
        "ALTER TABLE action_log ADD FOREIGN KEY (post_id) REFERENCES posts (id) ON DELETE CASCADE"
    )
    await watched.execute("DELETE FROM posts WHERE id = $1", POSTS[0])
    assert await noted(watched) == {(A, "deleted_action"), (B, "deleted_action")}


async def test_trigger_that_fails_takes_the_deletion_with_it(watched: asyncpg.Connection):
    """Never a post that is gone and goes on counting."""
    await watched.execute("ALTER TABLE embedding.due ADD CONSTRAINT full_disk CHECK (false)")
    with pytest.raises(asyncpg.CheckViolationError, match="full_disk"):
        await watched.execute("DELETE FROM posts")
    assert await watched.fetchval("SELECT count(*) FROM posts") == len(POSTS)


def test_triggers_have_the_overlap_and_the_lookback_of_the_settings():
    assert set(re.findall(r"interval '(\w+ \w+)'", TRIGGERS.read_text())) == {
        f"{table.WINDOW_OVERLAP_SECONDS.default} seconds",
        f"{table.LOOKBACK_DAYS.default} days",
    }
