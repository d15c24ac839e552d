"""Candidates of a platform large enough for indexes: as many as asked for, the right ones."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import BytesIO
from uuid import UUID, uuid4

import asyncpg
import numpy as np
import pytest
from pgvector import Vector

from bench.tuples import END, HEAD, VECTOR, pack
from dev.postgres import Postgres
from dev.stack import ROOT
from lib.store.candidates import (
    HOTTEST,
    READ_CANDIDATES,
    Candidates,
    Wanted,
    read_candidates,
    settle,
)
from tests.scene import MODEL, connect
from tests.store.test_query_plans import nodes

POSTS, TOPICS = 6000, 30
USER = UUID(int=1)
NAME = "candidates"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
ANY = Wanted(USER, MODEL, 70, unseen=True, since=None, topics=())
RANDOM = np.random.default_rng(3)
CENTRES = RANDOM.normal(size=(TOPICS, 384)) / 384**0.5
ABOUT = RANDOM.integers(0, TOPICS, POSTS)
VECTORS = CENTRES[ABOUT] + RANDOM.normal(size=(POSTS, 384)) / 384**0.5
VECTORS = (VECTORS / np.linalg.norm(VECTORS, axis=1, keepdims=True)).astype(np.float32)
IDS = [UUID(bytes=RANDOM.bytes(16)) for _ in range(POSTS)]
PLACES = {post: place for place, post in enumerate(IDS)}
# the posts of the user's topics are what the user knows best
TASTE = (CENTRES[0] + CENTRES[1] + CENTRES[2]).astype(np.float32)
TASTE /= np.linalg.norm(TASTE)
KNOWN = [*np.flatnonzero(ABOUT == 0).tolist(), *range(0, POSTS, 15)]

LOAD = """
CREATE TEMP TABLE made (id UUID, vector vector(384), topic TEXT);
"""
FILL = """
INSERT INTO users VALUES ('00000000-0000-0000-0000-000000000001');
INSERT INTO posts (id, topic, created_at)
  SELECT id, topic, timestamptz '2026-01-01' - row_number() OVER () * interval '1 minute' FROM made;
INSERT INTO post_embeddings SELECT id, vector, 'all-MiniLM-L6-v2' FROM made;
INSERT INTO embedding.post_popularity SELECT id, 1000 + row_number() OVER () * 0.01 FROM made;
"""


@pytest.fixture(scope="module", params=["indexed", "bare"])
def large(postgres: Postgres, template: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """Fill a database once, with the indexes of `db/recommend.sql` and without."""

    async def fill() -> None:
        connection = await connect(await postgres.create(NAME, template))
        await connection.execute("SET synchronous_commit = on")
        await connection.execute(LOAD)
        vectors = np.zeros(POSTS, dtype=VECTOR)
        vectors["dimensions"], vectors["numbers"] = 384, VECTORS
        ids = np.frombuffer(b"".join(post.bytes for post in IDS), dtype="V16")
        topics = np.array([f"t{topic}".encode() for topic in ABOUT])
        await connection.execute("SET statement_timeout = 0")
        source = HEAD + pack(ids, vectors, topics) + END
        await connection.copy_to_table("made", source=BytesIO(source), format="binary")
        await connection.execute(FILL)
        await connection.copy_records_to_table(
            "action_log",
            columns=("user_id", "post_id", "action_type"),
            records=[(USER, IDS[place], "view_post") for place in KNOWN],
        )
        if request.param == "indexed":
            # twice: it may be applied again
            await postgres.apply(NAME, *[ROOT / "db" / "recommend.sql"] * 2)
        await connection.execute("VACUUM ANALYZE")
        await connection.close()

    asyncio.run(fill())
    yield request.param
    asyncio.run(postgres.drop(NAME))


@pytest.fixture
async def settled(large: str, postgres: Postgres) -> AsyncIterator[asyncpg.Connection]:
    """Lend a connection in a transaction that is settled, to the database with or without them."""
    assert large
    connection = await connect(postgres.url(NAME))
    changes = connection.transaction()
    await changes.start()
    await settle(connection, len(KNOWN))
    # of the twenty lists there are: with all of them nobody would use an index
    await connection.execute("SET LOCAL ivfflat.probes = 5")
    yield connection
    await changes.rollback()
    await connection.close()


async def look(
    connection: asyncpg.Connection, wanted: Wanted, *, exactly: bool = False, tastes: int = 1
) -> Candidates:
    return await read_candidates(connection, wanted, TASTE[None][:tastes], exactly=exactly)


def eligible(wanted: Wanted) -> list[int]:
    """Return which posts may come, nearest first."""
    known = set(KNOWN) if wanted.unseen else set()
    places = [
        place
        for place in range(POSTS)
        if place not in known
        and (not wanted.topics or f"t{ABOUT[place]}" in wanted.topics)
        and (wanted.since is None or created(place) >= wanted.since)
    ]
    return sorted(places, key=lambda place: -float(VECTORS[place] @ TASTE))


def created(place: int) -> datetime:
    return NOW - timedelta(minutes=place + 1)


CASES = {
    "anything": ANY,
    "what is known too": replace(ANY, unseen=False),
    "one topic": replace(ANY, topics=("t7",)),
    "a topic that is known": replace(ANY, topics=("t0", "t7")),
    "a topic that is all known": replace(ANY, topics=("t0",)),
    "the last hour": replace(ANY, since=NOW - timedelta(hours=1)),
    "the last day": replace(ANY, since=NOW - timedelta(days=1)),
    "one topic of the last day": replace(ANY, topics=("t1",), since=NOW - timedelta(days=1)),
    "no such topic": replace(ANY, topics=("none",)),
    "many": replace(ANY, number=150),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("tastes", [0, 1])
async def test_as_many_come_as_there_are(settled: asyncpg.Connection, case: str, tastes: int):
    """Never one that must not, and never fewer than asked for where there are so many."""
    wanted = CASES[case]
    found = await look(settled, wanted, tastes=tastes)
    allowed = eligible(wanted)
    places = [PLACES[post] for post in found.posts]
    assert set(places) <= set(allowed)
    assert len(places) >= min(wanted.number, len(allowed))
    assert found.nearest == (min(wanted.number, len(allowed)) if tastes else 0)
    assert list(found.posts) == sorted(found.posts)
    np.testing.assert_array_equal(found.vectors, VECTORS[places])
    assert list(found.created) == [created(place) for place in places]


@pytest.mark.parametrize("exactly", [False, True])
@pytest.mark.parametrize("case", CASES)
async def test_nearest_are_among_them(settled: asyncpg.Connection, case: str, *, exactly: bool):
    """All of them where every post is looked at, and hardly one less by an index."""
    wanted = CASES[case]
    found = await look(settled, wanted, exactly=exactly)
    nearest = {IDS[place] for place in eligible(wanted)[:20]}
    missed = nearest - set(found.posts)
    assert len(missed) <= (0 if exactly else 1)


@pytest.mark.parametrize("case", CASES)
async def test_newest_and_most_popular_are_among_them(settled: asyncpg.Connection, case: str):
    """The later a post was made up, the more popular it is, and the older."""
    wanted = CASES[case]
    found = await look(settled, wanted)
    allowed = sorted(eligible(wanted))
    newest = allowed[: wanted.number]
    popular = [place for place in allowed if place >= POSTS - HOTTEST][-wanted.number :]
    assert {IDS[place] for place in (*newest, *popular)} <= set(found.posts)


async def plan(connection: asyncpg.Connection, *, exactly: bool) -> list[dict[str, object]]:
    arguments = (USER, MODEL, [Vector(TASTE)], exactly, 70, True, ["hide_post"], None, [], HOTTEST)
    said = await connection.fetchval("EXPLAIN (FORMAT JSON) " + READ_CANDIDATES, *arguments)
    return list(nodes(json.loads(said)[0]["Plan"]))


async def test_nearest_come_from_the_index_unless_every_post_is_to_be_looked_at(
    settled: asyncpg.Connection, large: str
):
    for exactly in (False, True):
        used = {node.get("Index Name") for node in await plan(settled, exactly=exactly)}
        assert ("post_embeddings_nearest" in used) == (large == "indexed" and not exactly)


async def test_what_the_user_knows_is_hashed_and_never_searched(settled: asyncpg.Connection):
    filters = [str(node.get("Filter", "")) for node in await plan(settled, exactly=False)]
    assert sum("hashed SubPlan" in found for found in filters) == 3
    assert not [found for found in filters if "SubPlan" in found and "hashed" not in found]


@pytest.mark.usefixtures("large")
async def test_settings_end_with_the_transaction(postgres: Postgres):
    names = ("search_path", "ivfflat.probes", "hnsw.ef_search", "plan_cache_mode", "jit")
    connection = await connect(postgres.url(NAME))
    await connection.execute("SELECT '[1]'::vector")

    async def current() -> list[str]:
        return [await connection.fetchval("SELECT current_setting($1)", name) for name in names]

    before = await current()
    async with connection.transaction():
        await settle(connection, 100)
        assert all(one != other for one, other in zip(await current(), before, strict=True))
    assert await current() == before
    await connection.close()


async def test_without_any_post_there_are_none(connection: asyncpg.Connection):
    async with connection.transaction():
        await settle(connection, 0)
        found = await look(connection, replace(ANY, user=uuid4()))
    assert (found.posts, found.nearest, found.vectors.shape) == ((), 0, (0, 384))
