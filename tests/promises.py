"""What must hold after every kind of run, read from Postgres and Redis themselves."""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg
import valkey.asyncio

from tests.reference import Action, cosine, interest_vector
from tests.scene import MODEL

SEVEN_DAYS = 604_800


@dataclass(frozen=True)
class Row:
    """One row of user_embeddings."""

    embedding: list[float]
    model_version: str
    generated_at: datetime


async def rows(connection: asyncpg.Connection) -> dict[UUID, Row]:
    """Return every stored vector."""
    return {
        row["user_id"]: Row(row["embedding"].to_list(), row["model_version"], row["generated_at"])
        for row in await connection.fetch("SELECT * FROM user_embeddings")
    }


async def usable_embeddings(connection: asyncpg.Connection) -> dict[UUID, list[float]]:
    """Return the posts' embeddings that the specification lets count."""
    found = await connection.fetch(
        "SELECT post_id, embedding FROM post_embeddings"
        " WHERE model_version = $1 AND embedding IS NOT NULL",
        MODEL,
    )
    vectors = {row["post_id"]: row["embedding"].to_list() for row in found}
    return {post: v for post, v in vectors.items() if len(v) == 384 and any(v)}


async def actions_by_user(connection: asyncpg.Connection) -> dict[UUID, list[Action]]:
    """Return the whole log."""
    log: dict[UUID, list[Action]] = defaultdict(list)
    for row in await connection.fetch(
        "SELECT id, user_id, post_id, action_type, created_at FROM action_log"
    ):
        log[row["user_id"]].append(Action(**row))
    return log


async def assert_converged(
    connection: asyncpg.Connection, redis: valkey.asyncio.Valkey, users: Sequence[UUID]
) -> int:
    """Hold P1 for these users, and for nobody else; return how many have a vector.

    Each has in Postgres and in Redis exactly what the reference makes of the tables, or nothing.
    """
    stored, log = await rows(connection), await actions_by_user(connection)
    embeddings = await usable_embeddings(connection)
    living = {row["id"] for row in await connection.fetch("SELECT id FROM users")}
    now = await connection.fetchval("SELECT clock_timestamp()")
    expected: set[UUID] = set()
    for user in users:
        as_of = stored[user].generated_at if user in stored else now
        wanted = interest_vector(log[user], embeddings, as_of)
        if wanted is None or user not in living:
            assert user not in stored, f"{user} has a vector that the reference does not make"
            continue
        expected.add(user)
        assert user in stored, f"{user} has no vector"
        assert cosine(stored[user].embedding, wanted) >= 0.999999
        assert abs(cosine(stored[user].embedding, stored[user].embedding) - 1) < 1e-9
        assert stored[user].model_version == MODEL
    assert set(stored) == expected
    await assert_mirrored(connection, redis)
    return len(expected)


async def assert_mirrored(connection: asyncpg.Connection, redis: valkey.asyncio.Valkey) -> None:
    """Hold that Redis has, for seven days, what Postgres holds, and not a key more."""
    stored = await rows(connection)
    keys = {key.decode() for key in await redis.keys("*")}
    assert keys == {f"user:{user}:embedding" for user in stored}
    for user, row in stored.items():
        key = f"user:{user}:embedding"
        cached = json.loads(await redis.get(key))
        assert len(cached) == 384
        assert cosine(cached, row.embedding) >= 0.999999
        assert SEVEN_DAYS - 60 <= await redis.ttl(key) <= SEVEN_DAYS


async def open_work(connection: asyncpg.Connection) -> tuple[int, int]:
    """Return how many runs are open and how many users are on work lists."""
    row = await connection.fetchrow(
        "SELECT (SELECT count(*) FROM embedding.runs WHERE finished_at IS NULL),"
        " (SELECT count(*) FROM embedding.run_users)"
    )
    return row[0], row[1]


async def counts(connection: asyncpg.Connection) -> dict[str, int]:
    """Return what the last run counted."""
    found = await connection.fetch(
        "SELECT name, amount FROM embedding.run_counts WHERE run_id ="
        " (SELECT id FROM embedding.runs ORDER BY number DESC LIMIT 1)"
    )
    return {row["name"]: row["amount"] for row in found}
