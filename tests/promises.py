"""What must hold after every kind of run, read from Postgres and Redis themselves."""

import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import pytest
import valkey.asyncio

from lib.embedding.schemes import BASELINE, Scheme
from tests.reference import (
    Action,
    Erasure,
    contributions,
    cosine,
    dot,
    interest_vector,
    recent,
)
from tests.scene import MODEL

SEVEN_DAYS = 604_800
HOUR = 3_600  # longer than a test takes
OFFSETS = "SELECT user_id, mean_id, centre FROM embedding.user_offsets"
INTERESTS = "SELECT * FROM embedding.user_interests ORDER BY user_id, place"


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


async def erasures_by_user(connection: asyncpg.Connection) -> dict[UUID, Erasure]:
    found = await connection.fetch("SELECT * FROM embedding.erasures")
    return {row["user_id"]: Erasure(*row[1:]) for row in found}


async def mean_of(connection: asyncpg.Connection, scheme: Scheme) -> tuple[str, list[float] | None]:
    """Return as what the scheme's vectors are stored now, and what is taken off them."""
    if scheme == BASELINE:
        return MODEL, None
    if not scheme.centred:
        return f"{MODEL}/{scheme.name}@{scheme.version}", None
    number, vector = await connection.fetchrow(
        "SELECT id, vector FROM embedding.means WHERE model = $1 ORDER BY id DESC LIMIT 1", MODEL
    )
    return f"{MODEL}/{scheme.name}@{scheme.version}#{number}", vector.to_list()


@dataclass(frozen=True)
class Verdict:
    """What the reference says of the stored vectors.

    `expected`: the posts that draw each near, of the users who should have one.
    """

    expected: Mapping[UUID, set[UUID]]
    lost: tuple[UUID, ...]
    """Who should have a vector and has none."""
    wrong: tuple[UUID, ...]
    """Who has another one than the reference makes, or one at all against it."""


async def judge(
    connection: asyncpg.Connection,
    users: Sequence[UUID],
    scheme: Scheme = BASELINE,
    *,
    minimum: int = 3,
) -> Verdict:
    """Compare what Postgres holds of these users, and of anybody else, with the reference.

    `minimum`: from how many posts a vector is made.
    """
    stored, log = await rows(connection), await actions_by_user(connection)
    embeddings, erasures = await usable_embeddings(connection), await erasures_by_user(connection)
    living = {row["id"] for row in await connection.fetch("SELECT id FROM users")}
    now = await connection.fetchval("SELECT clock_timestamp()")
    label, mean = await mean_of(connection, scheme)
    expected: dict[UUID, set[UUID]] = {}
    lost, wrong = [], list(set(stored) - set(users))
    for user in users:
        as_of = stored[user].generated_at if user in stored else now
        erasure = erasures.get(user)
        wanted = interest_vector(
            log[user], embeddings, as_of, scheme, minimum=minimum, mean=mean, erasure=erasure
        )
        if wanted is None or user not in living:
            wrong += [user] if user in stored else []
            continue
        posts = contributions(recent(log[user], as_of, erasure=erasure), as_of, scheme)
        expected[user] = {post for post, away in posts if not away and post in embeddings}
        if user not in stored:
            lost.append(user)
        elif not same(stored[user], wanted, label):
            wrong.append(user)
    return Verdict(expected, tuple(lost), tuple(wrong))


def same(row: Row, wanted: Sequence[float], label: str) -> bool:
    """Return whether a row has this vector, of unit length, under this label."""
    unit = abs(dot(row.embedding, row.embedding) - 1) < 1e-5
    return unit and cosine(row.embedding, wanted) >= 0.999999 and row.model_version == label


async def assert_converged(
    connection: asyncpg.Connection,
    redis: valkey.asyncio.Valkey,
    users: Sequence[UUID],
    scheme: Scheme = BASELINE,
) -> int:
    """Hold P1 for these users, and for nobody else; return how many have a vector.

    Each has in Postgres and in Redis exactly what the reference makes of the tables, or nothing;
    and beside the vector what the scheme keeps there.
    """
    verdict = await judge(connection, users, scheme)
    assert verdict.lost == (), "no vector where the reference makes one"
    assert verdict.wrong == (), "another vector than the reference makes"
    stored, (_, mean) = await rows(connection), await mean_of(connection, scheme)
    await assert_offsets(connection, stored, mean)
    interests = verdict.expected if scheme.interests else {}
    await assert_interests(connection, stored, interests, scheme, mean)
    await assert_mirrored(connection, redis)
    return len(verdict.expected)


async def assert_offsets(
    connection: asyncpg.Connection, stored: Mapping[UUID, Row], mean: Sequence[float] | None
) -> None:
    """Hold that every centred vector, and no other, has its product with its mean beside it."""
    offsets = {row["user_id"]: row for row in await connection.fetch(OFFSETS)}
    assert set(offsets) == (set() if mean is None else set(stored))
    for user, row in offsets.items():
        assert stored[user].model_version.endswith(f"#{row['mean_id']}")
        assert row["centre"] == product(stored[user].embedding, mean)


def product(vector: Sequence[float], mean: Sequence[float] | None) -> Any:
    """Expect a unit vector's product with the mean, 0 without one, as nearly as float32 has it."""
    if mean is None:
        return pytest.approx(0)
    return pytest.approx(dot(vector, mean), abs=1e-5 * max(1.0, math.hypot(*mean)))


async def assert_interests(
    connection: asyncpg.Connection,
    stored: Mapping[UUID, Row],
    posts: Mapping[UUID, set[UUID]],
    scheme: Scheme,
    mean: Sequence[float] | None,
) -> None:
    """Hold that users with these posts have interests, and nobody else.

    `posts`: those that draw each near. Without a long history there is one, the vector itself.
    """
    found: dict[UUID, list[asyncpg.Record]] = defaultdict(list)
    for row in await connection.fetch(INTERESTS):
        found[row["user_id"]].append(row)
    assert set(found) == set(posts)
    for user, interests in found.items():
        shares = [row["share"] for row in interests]
        assert [row["place"] for row in interests] == list(range(len(interests)))
        assert shares == sorted(shares, reverse=True)
        assert sum(shares) == pytest.approx(1)
        most = scheme.interests if len(posts[user]) >= scheme.long_history else 1
        assert 1 <= len(interests) <= most
        for row in interests:
            own = row["embedding"] is None
            assert own == (len(interests) == 1)
            vector = stored[user].embedding if own else row["embedding"].to_list()
            assert dot(vector, vector) == pytest.approx(1, abs=1e-5)
            assert row["medoid"] in posts[user]
            assert row["centre"] == product(vector, mean)


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
        assert SEVEN_DAYS - HOUR <= await redis.ttl(key) <= SEVEN_DAYS


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
