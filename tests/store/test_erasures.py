"""What an erasure and an objection leave in Postgres, and what may be written after them."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import datetime, timedelta
from operator import attrgetter
from uuid import UUID, uuid4

import asyncpg
import numpy as np
import pytest
from pgvector import Vector

from lib.embedding import DIMENSIONS
from lib.embedding.schemes import BASELINE
from lib.store import erasures
from lib.store.actions import Log, read_log
from lib.store.erasures import Erasure, erase, opt_in, opt_out, read_erasure
from lib.store.holdings import Holdings, held
from lib.store.recorded import Recorded
from lib.store.shadows import upsert_shadows
from lib.store.vectors import NewVectors, read_stored, upsert
from tests.scene import act, connect
from tests.store.conftest import write_run

ON_PLATFORMS = ["tables", "views"]

A, B = UUID(int=1), UUID(int=2)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
MICROSECOND = timedelta(microseconds=1)

type Call = Callable[[asyncpg.Connection, UUID], Awaitable[object]]

FORGETTING = pytest.mark.parametrize("forget", [erase, opt_out])


async def sign_up(connection: asyncpg.Connection, *users: UUID) -> None:
    await connection.executemany("INSERT INTO users (id) VALUES ($1)", [(user,) for user in users])


async def clock(connection: asyncpg.Connection) -> datetime:
    return await connection.fetchval("SELECT clock_timestamp()")


async def log_of(connection: asyncpg.Connection, user: UUID) -> Log:
    return await read_log(connection, [user], timedelta(days=90), BASELINE, 1000)


def new(log: Log, user: UUID) -> NewVectors:
    """A vector made of what was read."""
    vectors = np.full((1, DIMENSIONS), 0.5, dtype=np.float32)
    return NewVectors([user], vectors, "m", log.read_at, log.erased)


FILL = [
    "INSERT INTO user_embeddings (user_id, embedding, model_version) VALUES ($1, $2, 'm')",
    "INSERT INTO embedding.user_interests VALUES ($1, 0, 0.75, $1, 0.5, $2)",
    "INSERT INTO embedding.user_interests VALUES ($1, 1, 0.25, $1, 0.1, $2)",
    "INSERT INTO embedding.shadow_vectors VALUES ($1, $2, 'shadow', now(), 0.9)",
    "INSERT INTO embedding.exposures VALUES ('one', $1, 'decay@1', now())",
    "INSERT INTO embedding.exposures VALUES ('two', $1, 'centred@1', now())",
    "INSERT INTO embedding.failures VALUES ($1, 'no number', 2, gen_random_uuid(), now())",
    "INSERT INTO embedding.due VALUES ($1, 'failed')",
    "INSERT INTO embedding.due VALUES ($1, 'rebuild')",
    "INSERT INTO embedding.user_offsets SELECT $1, max(id), 0.25 FROM embedding.means",
    "INSERT INTO embedding.events VALUES (uuid_send($1), 'an id', $1, now())",
    "INSERT INTO embedding.showings VALUES ($1, $1, 'm', now())",
    "INSERT INTO embedding.impressions VALUES ($1, $1, 0, 0.9, 0.5, 0.3, 0.1, 0.5)",
    "INSERT INTO embedding.impressions VALUES ($1, gen_random_uuid(), 1)",
    "INSERT INTO embedding.responses VALUES ($1, $1, 'like_post', now())",
]


async def fill(connection: asyncpg.Connection, *users: UUID) -> None:
    """Write rows of these users into every table that has any of a user, but the erasures."""
    await sign_up(connection, *users)
    vector = Vector(np.full(DIMENSIONS, 0.5, dtype=np.float32))
    await connection.execute(
        "INSERT INTO embedding.means (model, cut, count, vector) VALUES ('m', now(), 1, $1)", vector
    )
    await write_run(connection, {0: list(users)})
    for user in users:
        await act(connection, user, user)
        for statement in FILL:
            arguments = (user, vector) if "$2" in statement else (user,)
            await connection.execute(statement, *arguments)


OWNED = """
SELECT n.nspname || '.' || c.relname AS name, array_agg(a.attname::TEXT) AS columns
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relkind IN ('r', 'p') AND (n.nspname = 'embedding' OR c.oid = 'user_embeddings'::REGCLASS)
GROUP BY 1
ORDER BY 1
"""


async def owned(connection: asyncpg.Connection) -> dict[str, set[str]]:
    """Return the tables of ours, each with its columns."""
    return {row["name"]: set(row["columns"]) for row in await connection.fetch(OWNED)}


OF_A_USER = {
    "user_id": "user_id = $1",
    "rec_id": "rec_id IN (SELECT rec_id FROM embedding.showings WHERE user_id = $1)",
}
"""How the rows of a user are found, by a column that a table has."""


def of_a_user(columns: set[str]) -> str | None:
    return next((found for name, found in OF_A_USER.items() if name in columns), None)


async def dump(connection: asyncpg.Connection, *, without: UUID) -> dict[str, list[str]]:
    """Return every row of ours and of the platform's, but those of one user."""
    tables = await owned(connection) | {"users": set(), "action_log": {"user_id"}}
    rows = {}
    for name, columns in tables.items():
        condition = of_a_user(columns) or "$1::UUID IS NULL"
        statement = f"SELECT t::TEXT FROM {name} AS t WHERE NOT ({condition})"  # noqa: S608  # names of ours
        found = await connection.fetch(statement, without)
        rows[name] = sorted(row["t"] for row in found)
    return rows


# What is left


@FORGETTING
async def test_forgotten_user_leaves_the_wish_and_the_work_and_nothing_else(
    connection: asyncpg.Connection, forget: Call
):
    await fill(connection, A, B)
    others = await dump(connection, without=A)
    before = await clock(connection)
    known = await forget(connection, A)
    left = await held(connection, A)
    assert left == Holdings(
        read_at=left.read_at,
        vector=None,
        offset=None,
        interests=(),
        shadow=None,
        copy=None,
        exposures=(),
        failure=None,
        due=("erased", "failed", "rebuild", "removed"),
        work=left.work,
        recorded=Recorded((), (), (), ()),
        erasure=known,
    )
    assert len(left.work) == 1, "whoever works it off deletes the key in Redis"
    assert left.erasure is not None
    assert before < left.erasure.erased_at < left.read_at
    assert left.erasure.opted_out == (forget is opt_out)
    assert await read_stored(connection, [A]) == [], "a reader has nothing to refill from"
    assert await dump(connection, without=A) == others


@FORGETTING
async def test_forgetting_who_never_was_leaves_the_wish_alone(
    connection: asyncpg.Connection, forget: Call
):
    await fill(connection, B)
    others = await dump(connection, without=A)
    for _ in range(2):
        await forget(connection, A)
    left = await held(connection, A)
    assert (left.vector, left.due, left.work) == (None, ("erased",), ())
    assert await dump(connection, without=A) == others


async def test_wish_outlives_the_user(connection: asyncpg.Connection):
    await fill(connection, A)
    known = await erase(connection, A)
    await connection.execute("DELETE FROM users WHERE id = $1", A)
    assert await read_erasure(connection, A) == known
    assert await read_erasure(connection, B) is None


@pytest.mark.parametrize("call", [erase, opt_out, opt_in])
async def test_time_of_an_erasure_rises_whatever_the_clock_says(
    connection: asyncpg.Connection, call: Call
):
    ahead = await clock(connection) + HOUR
    await connection.execute("INSERT INTO embedding.erasures VALUES ($1, $2, '{}', true)", A, ahead)
    for times in (1, 2):
        if call is opt_in:
            await connection.execute("UPDATE embedding.erasures SET opted_out = true")
        known = await call(connection, A)
        assert isinstance(known, Erasure)
        assert known.erased_at == ahead + times * MICROSECOND


async def test_objection_stands_until_it_is_taken_back(connection: asyncpg.Connection):
    await sign_up(connection, A)
    out = await opt_out(connection, A)
    again = await erase(connection, A)
    assert out.opted_out
    assert again.opted_out, "an erasure does not take an objection back"
    back = await opt_in(connection, A)
    assert back is not None
    assert back.erased_at > again.erased_at > out.erased_at
    assert await read_erasure(connection, A) == back == Erasure(back.erased_at, (), opted_out=False)
    assert (await held(connection, A)).due == ("erased", "opted_in")


async def test_opting_in_changes_nothing_for_who_is_not_out(connection: asyncpg.Connection):
    await fill(connection, A, B)
    await erase(connection, B)
    before = await dump(connection, without=UUID(int=0))
    for user in (A, B, UUID(int=9)):
        assert await opt_in(connection, user) is None
    assert await dump(connection, without=UUID(int=0)) == before


# What counts

LOGGED = [
    pytest.param(-DAY, "before", False, id="done and logged before"),
    pytest.param(HOUR, "before", False, id="logged before with a time to come"),
    pytest.param(-DAY, "after", False, id="done before and logged late"),
    pytest.param(None, "after", True, id="done and logged after"),
    pytest.param(HOUR, "after", True, id="logged after with a time to come"),
]


async def out_and_in(connection: asyncpg.Connection, user: UUID) -> None:
    await opt_out(connection, user)
    await opt_in(connection, user)


async def erase_twice(connection: asyncpg.Connection, user: UUID) -> None:
    await erase(connection, user)
    await erase(connection, user)


@pytest.mark.parametrize("forget", [erase, erase_twice, out_and_in])
@pytest.mark.parametrize(("offset", "when", "counts"), LOGGED)
async def test_action_counts_only_if_done_and_logged_after(
    connection: asyncpg.Connection,
    forget: Call,
    offset: timedelta | None,
    when: str,
    counts: bool,  # noqa: FBT001  # a column of the table
):
    await sign_up(connection, A, B)

    async def log() -> None:
        at = None if offset is None else await clock(connection) + offset
        for user in (A, B):
            await act(connection, user, uuid4(), at=at)

    if when == "before":
        await log()
    await forget(connection, A)
    if when == "after":
        await log()
    assert (await log_of(connection, A)).actions.tolist() == [int(counts)]
    assert (await log_of(connection, B)).actions.tolist() == [1]


async def test_nothing_done_while_out_counts_after_opting_in(connection: asyncpg.Connection):
    await sign_up(connection, A)
    await opt_out(connection, A)
    await act(connection, A, uuid4())
    await act(connection, A, uuid4(), at=await clock(connection) + HOUR)
    log = await log_of(connection, A)
    assert (log.actions.tolist(), log.opted_out.tolist()) == ([0], [True])
    await opt_in(connection, A)
    assert (await log_of(connection, A)).actions.tolist() == [0]
    await act(connection, A, uuid4())
    log = await log_of(connection, A)
    assert (log.actions.tolist(), log.opted_out.tolist()) == ([1], [False])


async def test_times_ahead_are_kept_until_they_have_come(connection: asyncpg.Connection):
    """Also of actions that the log does not show any more: they may be put back."""
    now = await clock(connection)
    logged = [now + HOUR, now + 2 * HOUR]
    past, removed = [now - HOUR, now - MICROSECOND], now + HOUR / 2
    held_before = [*past, removed, logged[0]]
    await connection.execute(
        "INSERT INTO embedding.erasures VALUES ($1, $2, $3, false)", A, now, held_before
    )
    for at in (*logged, logged[1], now - DAY):
        await act(connection, A, uuid4(), at=at)
    await act(connection, B, uuid4(), at=now + 3 * HOUR)
    assert (await erase(connection, A)).ahead == (removed, *logged)
    await opt_out(connection, A)
    back = await opt_in(connection, A)
    assert back is not None
    assert back.ahead == (removed, *logged)


# Who writes at the same time


async def write_vector(connection: asyncpg.Connection, log: Log, user: UUID) -> bool:
    return (await upsert(connection, new(log, user))).users == {user}


async def write_shadow(connection: asyncpg.Connection, log: Log, user: UUID) -> bool:
    await upsert_shadows(connection, new(log, user), [None])
    return (await held(connection, user)).shadow is not None


type Write = Callable[[asyncpg.Connection, Log, UUID], Awaitable[bool]]

WRITING = pytest.mark.parametrize("write", [write_vector, write_shadow])


@WRITING
@pytest.mark.parametrize("call", [erase, opt_out, opt_in])
async def test_nothing_is_written_that_was_read_before(
    connection: asyncpg.Connection, write: Write, call: Call
):
    await sign_up(connection, A, B)
    if call is opt_in:
        await opt_out(connection, A)
    read, of_another = await log_of(connection, A), await log_of(connection, B)
    await call(connection, A)
    assert not await write(connection, read, A)
    assert await write(connection, of_another, B)


@WRITING
async def test_what_was_read_after_an_erasure_is_written(
    connection: asyncpg.Connection, write: Write
):
    await sign_up(connection, A)
    await erase(connection, A)
    assert await write(connection, await log_of(connection, A), A)


@WRITING
async def test_nothing_of_who_opted_out_is_written_whenever_it_was_read(
    connection: asyncpg.Connection, write: Write
):
    await sign_up(connection, A)
    await opt_out(connection, A)
    assert not await write(connection, await log_of(connection, A), A)


WAITING = """
SELECT count(*)
FROM pg_locks
WHERE locktype = 'advisory' AND NOT granted
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


async def someone_waits(own: asyncpg.Connection) -> None:
    """Return when a connection to this database waits for the erasures' lock."""
    async with asyncio.timeout(10):
        while not await own.fetchval(WAITING):  # noqa: ASYNC110  # what happens is in Postgres
            await asyncio.sleep(0.01)


@WRITING
@FORGETTING
async def test_erasure_waits_for_a_write_under_way_and_removes_it(
    own: asyncpg.Connection, database_url: str, write: Write, forget: Call
):
    await sign_up(own, A)
    other = await connect(database_url)
    try:
        async with own.transaction():
            assert await write(own, await log_of(own, A), A)
            forgetting = asyncio.create_task(forget(other, A))
            await someone_waits(own)
        async with asyncio.timeout(10):
            await forgetting
    finally:
        await other.close()
    left = await held(own, A)
    assert (left.vector, left.shadow) == (None, None)


@WRITING
@FORGETTING
async def test_write_waits_for_an_erasure_that_its_read_could_not_see(
    own: asyncpg.Connection, database_url: str, write: Write, forget: Call
):
    """The read's time is after the erasure's, and yet it knows what was there before."""
    await sign_up(own, A)
    await act(own, A, uuid4())
    other = await connect(database_url)
    try:
        async with own.transaction():
            await forget(own, A)
            read = await log_of(other, A)
            erased_at = await own.fetchval("SELECT erased_at FROM embedding.erasures")
            assert (read.actions.tolist(), read.read_at > erased_at) == ([1], True)
            writing = asyncio.create_task(write(other, read, A))
            await someone_waits(own)
        async with asyncio.timeout(10):
            assert not await writing
    finally:
        await other.close()
    left = await held(own, A)
    assert (left.vector, left.shadow) == (None, None)


# What is exported

EXPORTED = {
    "public.user_embeddings": "vector",
    "embedding.user_offsets": "offset",
    "embedding.user_interests": "interests",
    "embedding.shadow_vectors": "shadow",
    "embedding.exposures": "exposures",
    "embedding.failures": "failure",
    "embedding.due": "due",
    "embedding.run_users": "work",
    "embedding.events": "recorded.events",
    "embedding.showings": "recorded.showings",
    "embedding.impressions": "recorded.impressions",
    "embedding.responses": "recorded.responses",
    "embedding.erasures": "erasure",
}
LEFT_OUT = {
    ("embedding.due", "noted_by"): "numbers a transaction of the database, and means nothing to us",
    ("embedding.events", "digest"): "is made of the id",
}


async def test_export_shows_every_column_of_every_table_that_has_rows_of_a_user(
    connection: asyncpg.Connection,
):
    await fill(connection, A, B)
    await connection.execute(
        "INSERT INTO embedding.erasures VALUES ($1, now(), ARRAY[now()], false)", A
    )
    found = await held(connection, A)
    tables = {
        name: columns - {"user_id"}
        for name, columns in (await owned(connection)).items()
        if of_a_user(columns)
    }
    assert set(tables) == set(EXPORTED)
    for name, columns in tables.items():
        shown = columns - {column for table, column in LEFT_OUT if table == name}
        condition = of_a_user((await owned(connection))[name])
        statement = f"SELECT * FROM {name} WHERE {condition}"  # noqa: S608  # names of ours
        stored = await connection.fetch(statement, A)
        assert stored, f"{name} is not filled"
        wanted = [{column: plain(row[column]) for column in shown} for row in stored]
        part = attrgetter(EXPORTED[name])(found)
        parts = part if isinstance(part, tuple) else (part,)
        exported = [{"reason": one} if isinstance(one, str) else asdict(one) for one in parts]
        spelt = [{column: plain(value) for column, value in one.items()} for one in exported]
        assert sorted(spelt, key=repr_of) == sorted(wanted, key=repr_of), name


def repr_of(row: dict[str, object]) -> str:
    return repr(sorted(row.items()))


def plain(value: object) -> object:
    if isinstance(value, Vector):
        return value.to_list()
    if isinstance(value, np.ndarray):
        return value.tolist()
    return tuple(value) if isinstance(value, list) else value


async def test_export_of_who_never_was_is_empty(connection: asyncpg.Connection):
    await fill(connection, B)
    found = await held(connection, A)
    nothing = Recorded((), (), (), ())
    assert found == Holdings(
        found.read_at, None, None, (), None, None, (), None, (), (), nothing, None
    )


def test_statement_waits_in_a_statement_of_its_own():
    """Only then does the next one's snapshot show what was waited for."""
    assert "advisory" not in erasures.ERASE + erasures.OPT_IN
