"""Logging from Python: what is checked, and what happens where somebody goes meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import asyncpg
import pytest

from dev.proxy import Proxy
from dev.stack import LOGIN
from lib.errors import Invalid, Unavailable
from lib.record import Action, Logged, Rejection, log_actions
from lib.settings import DatabaseSettings
from lib.store.database import Database
from lib.store.impressions import Impression, Showing, keep

A, B, POST, REC = UUID(int=1), UUID(int=2), UUID(int=11), UUID(int=21)
NOWHERE = DatabaseSettings("postgresql://postgres@/x?host=/nowhere", pooled=True)


@pytest.fixture
async def database(connection: asyncpg.Connection, functions_url: str) -> AsyncIterator[Database]:
    """A database that has two users and a post."""
    await connection.executemany("INSERT INTO users (id) VALUES ($1)", [(A,), (B,)])
    await connection.execute("INSERT INTO posts (id) VALUES ($1)", POST)
    made = Database(DatabaseSettings(functions_url, pooled=True))
    yield made
    await made.close()


async def test_actions_are_logged_and_all_others_told_by_their_places(
    database: Database, connection: asyncpg.Connection
):
    actions = [
        Action(A, POST, "like_post", event_id="x"),
        Action(A, POST, "like"),
        Action(uuid4(), POST, "like_post"),
        Action(A, POST, "like_post", event_id="x"),
        Action(A, POST, "like_post", created_at=datetime(2026, 1, 1)),  # noqa: DTZ001  # what is refused
        Action(A, POST, "like_post", created_at=datetime(2026, 1, 1, tzinfo=UTC)),
    ]
    logged = await log_actions(database, actions)
    assert (logged.stored, logged.repeated) == (2, 1)
    assert [(one.index, one.field) for one in logged.rejections] == [
        (1, "action_type"),
        (2, "user_id"),
        (4, "created_at"),
    ]
    assert logged.rejections[2] == Rejection(4, "created_at", "a time with its offset")
    assert await connection.fetchval("SELECT count(*) FROM action_log") == 2


async def test_nothing_sound_needs_no_database():
    unknown = Action(A, POST, "like")
    nowhere = Database(NOWHERE)
    assert await log_actions(nowhere, []) == Logged(0, 0, ())
    assert len((await log_actions(nowhere, [unknown])).rejections) == 1
    with pytest.raises(Unavailable, match="postgres"):
        await log_actions(nowhere, [Action(A, POST, "like_post")])


async def test_more_than_a_thousand_are_refused_as_a_whole():
    with pytest.raises(Invalid, match="actions must be a list of at most 1000"):
        await log_actions(Database(NOWHERE), [Action(A, POST, "like_post")] * 1001)


async def waiting(connection: asyncpg.Connection) -> None:
    async with asyncio.timeout(10):
        while not await connection.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):  # noqa: ASYNC110  # what happens is in Postgres
            await asyncio.sleep(0.01)


async def test_user_who_goes_in_mid_call_is_told_and_all_others_are_logged(
    database: Database, connection: asyncpg.Connection
):
    actions = [Action(user, POST, "like_post", event_id=str(user)) for user in (A, B)]
    async with connection.transaction():
        await connection.execute("DELETE FROM users WHERE id = $1", A)
        logging = asyncio.create_task(log_actions(database, actions))
        await waiting(connection)
    assert await logging == Logged(1, 0, (Rejection(0, "user_id", "the id of a user"),))
    assert await connection.fetchval("SELECT count(*) FROM embedding.events") == 1


async def test_answer_that_goes_in_mid_call_costs_the_response_alone(
    database: Database, connection: asyncpg.Connection
):
    await keep(connection, Showing(REC, A, None, (Impression(POST, 0),)))
    async with connection.transaction():
        await connection.execute("DELETE FROM embedding.showings")
        action = Action(A, POST, "like_post", rec_id=REC)
        logging = asyncio.create_task(log_actions(database, [action]))
        await waiting(connection)
    assert await logging == Logged(1, 0, ())
    assert await connection.fetchval("SELECT count(*) FROM embedding.responses") == 0


async def test_call_cut_off_after_it_was_logged_may_come_again(
    database_url: str, database: Database, connection: asyncpg.Connection, proxy: Proxy
):
    """The connection breaks before the answer is through: an event is in the log once."""
    through = Database(
        DatabaseSettings(proxy.url(urlsplit(database_url).path[1:], LOGIN), pooled=True)
    )
    action = Action(A, POST, "like_post", event_id="x")
    try:
        async with connection.transaction():
            await connection.execute("LOCK TABLE action_log IN EXCLUSIVE MODE")
            logging = asyncio.create_task(log_actions(through, [action]))
            await waiting(connection)
            proxy.cut()
            with pytest.raises(Unavailable):
                await logging
    finally:
        await through.close()
    logged = [await log_actions(database, [action]) for _ in range(2)]
    assert sum(one.stored for one in logged) <= 1
    assert await connection.fetchval("SELECT count(*) FROM action_log") == 1


async def test_log_that_cannot_be_written_to_says_so_and_keeps_nothing(
    database: Database, connection: asyncpg.Connection
):
    """A view that makes something up needs a trigger INSTEAD OF INSERT of the platform's."""
    await connection.execute(
        "ALTER TABLE action_log RENAME TO things;"
        "CREATE VIEW action_log AS SELECT id, user_id, post_id, lower(action_type) AS action_type,"
        " created_at FROM things"
    )
    action = Action(A, POST, "like_post", event_id="x")
    with pytest.raises(Unavailable, match=r"cannot insert into column .*action_type.* of view"):
        await log_actions(database, [action])
    assert await connection.fetchval("SELECT count(*) FROM embedding.events") == 0
