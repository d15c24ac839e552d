"""Searches and writes, at several numbers of users."""

import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID, uuid4

import asyncpg
import numpy as np
from numpy.typing import NDArray
from pgvector import Vector
from pgvector.asyncpg import register_vector

from bench.account import Say
from bench.spread import Spread
from dev.postgres import Postgres
from dev.stack import ROOT
from lib.store import copies, neighbours, vectors
from lib.store.neighbours import Neighbour
from lib.store.vectors import NewVectors

SEED = 1
PAGE = 500
SEARCHES = 40
WRITES = 5
TOPICS = 50
LIMIT = 10
MODEL = "all-MiniLM-L6-v2"
SQL = tuple(ROOT / "db" / name for name in ("platform.sql", "schema.sql"))
SIMILAR = ROOT / "db" / "similar.sql"
BUILD_SECONDS = 600.0

USERS = """
INSERT INTO users (id) SELECT unnest($1::UUID[])
"""

INDEX = """
CREATE INDEX held_embedding ON user_embeddings USING hnsw (embedding vector_ip_ops)
"""

DROP_COPY = """
DROP TABLE embedding.user_neighbours;
DROP FUNCTION embedding.note_neighbours CASCADE;
DROP TABLE embedding.neighbours_due
"""

ROOM_TO_BUILD = """
ALTER SYSTEM SET maintenance_work_mem = '1GB'
"""

RELOAD = """
SELECT pg_reload_conf()
"""


@dataclass(frozen=True)
class Searching:
    """At so many users: a search one by one and one of the copy, in ms, and the copy's recall.

    `build`: seconds to make the copy; `refresh`: ms for the changes of a page.
    """

    users: int
    exact: Spread
    copy: Spread
    recall: float
    build: float
    refresh: float


@dataclass(frozen=True)
class Writing:
    """Upserting a page of PAGE users, in ms: as it is, with a copy, and with an index there."""

    users: int
    plain: Spread
    noted: Spread
    indexed: Spread


def made_up(count: int, random: np.random.Generator) -> NDArray[np.float32]:
    """Return users' vectors, (n, 384): each of three of TOPICS directions, and noise."""
    topics = random.normal(size=(TOPICS, 384)) / np.sqrt(384)
    chosen = random.integers(TOPICS, size=(count, 3))
    made = topics[chosen].sum(1) + 0.5 * random.normal(size=(count, 384)) / np.sqrt(384)
    unit: NDArray[np.float32] = made / np.linalg.norm(made, axis=1, keepdims=True)
    return unit.astype(np.float32)


@asynccontextmanager
async def filled(
    postgres: Postgres, count: int, random: np.random.Generator
) -> AsyncIterator[tuple[asyncpg.Connection, list[UUID]]]:
    """Lend a database with so many users who have vectors."""
    name = f"similar_{uuid4().hex}"
    url = await postgres.create(name)
    await postgres.apply(name, *SQL)
    connection = await asyncpg.connect(url, command_timeout=BUILD_SECONDS)
    await connection.execute(ROOM_TO_BUILD)
    await connection.execute(RELOAD)
    await register_vector(connection)
    users = [UUID(bytes=random.bytes(16)) for _ in range(count)]
    await connection.execute(USERS, users)
    rows = (
        (user, Vector(vector), MODEL)
        for user, vector in zip(users, made_up(count, random), strict=True)
    )
    await connection.copy_records_to_table(
        "user_embeddings", columns=("user_id", "embedding", "model_version"), records=rows
    )
    await connection.execute("VACUUM ANALYZE")
    yield connection, users
    await connection.close()
    await postgres.drop(name)


async def searching(postgres: Postgres, count: int, say: Say) -> Searching:
    """Measure searches at so many users."""
    random = np.random.default_rng(SEED)
    say(f"{count:,} users, looked at one by one")
    async with filled(postgres, count, random) as (connection, users):
        asking = users[:SEARCHES]
        exact, truth = await _search(connection, asking, neighbours.nearest)
        say("the copy of them")
        begun = time.perf_counter()
        await connection.execute(SIMILAR.read_text())
        build = time.perf_counter() - begun
        await connection.execute("VACUUM ANALYZE")
        copy, found = await _search(connection, asking, neighbours.nearest_copied)
        recall = sum(len(a & b) for a, b in zip(truth, found, strict=True)) / (LIMIT * SEARCHES)
        await _write(connection, users, random)
        begun = time.perf_counter()
        while await copies.refresh(connection, PAGE):
            pass
        refresh = 1000 * (time.perf_counter() - begun) / WRITES
    return Searching(count, exact, copy, recall, build, refresh)


async def writing(postgres: Postgres, count: int, say: Say) -> Writing:
    """Measure upserts among so many users."""
    random = np.random.default_rng(SEED)
    say(f"pages written among {count:,} users")
    async with filled(postgres, count, random) as (connection, users):
        plain = await _write(connection, users, random)
        await connection.execute(SIMILAR.read_text())
        noted = await _write(connection, users, random)
        await connection.execute(DROP_COPY)
        say("with an index on their vectors")
        await connection.execute(INDEX)
        indexed = await _write(connection, users, random)
    return Writing(count, plain, noted, indexed)


type Search = Callable[[asyncpg.Connection, UUID, int], Awaitable[list[Neighbour]]]


async def _search(
    connection: asyncpg.Connection, users: Sequence[UUID], search: Search
) -> tuple[Spread, list[set[UUID]]]:
    taken, found = [], []
    for user in users:
        begun = time.perf_counter()
        async with connection.transaction():
            near = await search(connection, user, LIMIT)
        taken.append(1000 * (time.perf_counter() - begun))
        found.append({one.user for one in near})
    return Spread.of(taken), found


async def _write(
    connection: asyncpg.Connection, users: Sequence[UUID], random: np.random.Generator
) -> Spread:
    """Upsert WRITES pages of users, each of whom gets a new vector."""
    taken = []
    for number in range(WRITES):
        page = sorted(users[number * PAGE : (number + 1) * PAGE])
        made = made_up(len(page), random)
        new = NewVectors(page, made, MODEL, datetime.now(UTC), [None] * len(page))
        begun = time.perf_counter()
        await vectors.upsert(connection, new)
        taken.append(1000 * (time.perf_counter() - begun))
    return Spread(statistics.median(taken), min(taken), max(taken))
