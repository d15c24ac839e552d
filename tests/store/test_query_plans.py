"""On tables large enough to matter, what is asked for often is found by an index."""

import json
import struct
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from pgvector import Vector

from dev.postgres import Postgres
from lib.embedding import RETRACTIONS
from lib.embedding.schemes import RECOMMENDED
from lib.store import (
    actions,
    figures,
    pages,
    posts,
    results,
    runs,
    snapshots,
    standings,
    vectors,
)
from tests.store.large import filled_once, lent

ACTIONS = 50_000
USERS = 1000
LARGE = {"action_log", "run_users", "user_embeddings", "post_embeddings"}
NAME = "query_plans"

FILL = f"""
INSERT INTO users SELECT id(n) FROM generate_series(1, 50000) n;
INSERT INTO user_embeddings (user_id, embedding, model_version)
  SELECT id(n), array_fill(n, '{{384}}')::vector, 'm' FROM generate_series(1, 20000) n;
INSERT INTO posts SELECT id(n) FROM generate_series(1, 5000) n;
INSERT INTO post_embeddings (post_id, embedding, model_version)
  SELECT id(n), array_fill(n, '{{384}}')::vector, 'm' FROM generate_series(1, 5000) n;
INSERT INTO action_log (user_id, post_id, action_type, created_at)
  SELECT id(n % {USERS}), id(n % 997), (ARRAY['view_post', 'like_post', 'unlike_post'])[n % 3 + 1],
    timestamptz '2026-01-01' - n * interval '2 minutes'
  FROM generate_series(1, {ACTIONS}) n;
INSERT INTO embedding.runs (id, window_start, window_end, progressed_at, chains, users, pages)
  VALUES (id(1), now(), now(), now(), 4, 50000, 100);
INSERT INTO embedding.run_users SELECT id(1), n / 500, id(n), false
  FROM generate_series(0, 49999) n;
"""  # noqa: S608  # the numbers above
IDENTITY = """
CREATE FUNCTION id(n BIGINT) RETURNS UUID IMMUTABLE RETURN
  (lpad(to_hex(n * 7919 % 65536), 8, '0') || '-0000-0000-0000-' || lpad(to_hex(n), 12, '0'))::UUID
"""

RUN = UUID("00001eef-0000-0000-0000-000000000001")
END = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def large(postgres: Postgres, template: str) -> Iterator[str]:
    """Fill a database once, and take statistics of it as a live one has them."""
    with filled_once(postgres, template, NAME, IDENTITY, FILL) as url:
        yield url


@pytest.fixture
async def filled(large: str) -> AsyncIterator[asyncpg.Connection]:
    """Lend the large database; what a test does to it is rolled back."""
    async with lent(large) as connection:
        assert await connection.fetchval("SELECT id(1)") == RUN
        yield connection


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", []):
        yield from nodes(part)


async def explain(
    connection: asyncpg.Connection, statement: str, arguments: Sequence[object]
) -> tuple[set[str], set[str]]:
    """Return the indexes that a statement uses, and the large tables that it reads from end to end.

    An index that is scanned without a condition, or for users whom only a filter finds, counts as
    reading the table from end to end.
    """
    said = await connection.fetchval("EXPLAIN (FORMAT JSON) " + statement, *arguments)
    found = list(nodes(json.loads(said)[0]["Plan"]))
    used = {node["Index Name"] for node in found if "Index Name" in node}
    scanned = {node["Relation Name"] for node in found if node["Node Type"] == "Seq Scan"}
    scanned |= {
        node["Relation Name"]
        for node in found
        if "Index Name" in node
        and "Relation Name" in node
        and node["Node Type"] != "Bitmap Heap Scan"
        and ("Index Cond" not in node or "user_id = " in node.get("Filter", ""))
    }
    return used, scanned & LARGE


async def users(connection: asyncpg.Connection, count: int) -> list[UUID]:
    rows = await connection.fetch("SELECT id(n) FROM generate_series(1, $1) n", count)
    return [row[0] for row in rows]


type Arguments = Callable[[Sequence[UUID]], Sequence[object]]

READ_LOG = (
    timedelta(days=10_000),
    list(RECOMMENDED.actions),
    [struct.pack(">hd", place, 1.0) for place in range(len(RECOMMENDED.actions))],
    list(RETRACTIONS),
    list(RETRACTIONS.values()),
    list(RECOMMENDED.known_actions),
    1000,
    actions.PLAIN_ACTIONS,
    None,
    RECOMMENDED.half_life * 86_400,
    [*RECOMMENDED.weights.values(), *RECOMMENDED.negatives.values()],
    len(RECOMMENDED.weights),
    1,
)
HOURS = (END - timedelta(hours=2), END)
CASES: dict[str, tuple[str, Arguments, set[str]]] = {
    "members of a page": (pages.PAGE_MEMBERS, lambda _: (RUN, 50), {"run_users_pkey"}),
    "next page": (pages.NEXT_PAGE, lambda _: (RUN, 41, 4, 1), {"run_users_pkey"}),
    "actions of a slice": (
        actions.READ_LOG,
        lambda users: (users, *READ_LOG),
        {"action_log_user_created"},
    ),
    "actions of one user": (
        actions.READ_LOG,
        lambda users: (users[:1], *READ_LOG),
        {"action_log_user_created"},
    ),
    "window of a plan": (
        runs.PLAN_USERS,
        lambda _: (None, *HOURS, UUID(int=7), 500),
        {"action_log_created"},
    ),
    "window of a plan that absorbs": (
        runs.PLAN_USERS,
        lambda _: (UUID(int=9), *HOURS, UUID(int=7), 500),
        {"action_log_created"},
    ),
    "window of the active": (
        actions.ACTIVE_USERS,
        lambda _: (END - timedelta(hours=2), 500),
        {"action_log_created"},
    ),
    "what is stored": (
        vectors.READ_STORED,
        lambda users: (users,),
        {"user_embeddings_user_id_key"},
    ),
    "when it was generated": (
        vectors.READ_GENERATED,
        lambda users: (users,),
        {"user_embeddings_user_id_key"},
    ),
    "what is removed": (
        vectors.REMOVE,
        lambda users: (users, END),
        {"user_embeddings_user_id_key"},
    ),
    "how one user stands": (
        standings.READ_STANDING,
        lambda users: (users[0],),
        {"user_embeddings_user_id_key"},
    ),
    "embeddings of posts": (
        posts.READ_EMBEDDINGS,
        lambda users: (",".join(user.hex for user in users), "m"),
        {"post_embeddings_pkey"},
    ),
    "versions of posts": (
        posts.READ_VERSIONS,
        lambda users: (",".join(user.hex for user in users), "m"),
        {"post_embeddings_version"},
    ),
    "a part of a snapshot": (
        snapshots.READ_VECTORS,
        lambda users: (users[0], 500),
        {"user_embeddings_user_id_key"},
    ),
    "what is written": (
        vectors.UPSERT,
        lambda users: (
            users,
            [Vector([1.0] * 384)] * len(users),
            "m",
            END,
            [None] * len(users),
            users[::32],
        ),
        {"user_embeddings_user_id_key"},
    ),
    "whether a page is done": (results.CLOSE_RUN, lambda _: (RUN, 3, 1), {"run_users_pkey"}),
    "how a sample stands": (
        figures.SURVEY,
        lambda _: (RUN, 100, 100, 10, figures.AGE_BOUNDS),
        {"run_users_pkey", "user_embeddings_user_id_key"},
    ),
    "who is closed": (
        results.CLOSE_USERS,
        lambda users: (
            RUN,
            3,
            users,
            ["processed"] * len(users),
            [0] * len(users),
            [0] * len(users),
            [False] * len(users),
            [None] * len(users),
            5,
            ["m"] * len(users),
            [0.1] * len(users),
            ["seconds read"],
            [0.1],
            results.DRIFT_BOUNDS,
        ),
        {"run_users_pkey"},
    ),
}


@pytest.mark.parametrize("name", CASES)
async def test_statement_finds_what_it_needs_by_index(filled: asyncpg.Connection, name: str):
    statement, arguments, indexes = CASES[name]
    used, scanned = await explain(filled, statement, arguments(await users(filled, 500)))
    assert not scanned
    assert indexes <= used


@pytest.mark.parametrize(
    ("name", "dropped", "table"),
    [
        ("members of a page", "run_users_pkey", "run_users"),
        ("next page", "run_users_pkey", "run_users"),
        ("actions of a slice", "action_log_user_created", "action_log"),
        ("window of a plan", "action_log_created", "action_log"),
        ("what is stored", "user_embeddings_user_id_key", "user_embeddings"),
        ("when it was generated", "user_embeddings_user_id_key", "user_embeddings"),
        ("who is closed", "run_users_pkey", "run_users"),
    ],
)
async def test_statement_without_its_index_would_be_noticed(
    filled: asyncpg.Connection, name: str, dropped: str, table: str
):
    if dropped.startswith("action_log"):
        await filled.execute(f"DROP INDEX {dropped}")
    else:
        schema = "embedding." if table == "run_users" else ""
        await filled.execute(f"ALTER TABLE {schema}{table} DROP CONSTRAINT {dropped} CASCADE")
    statement, arguments, _ = CASES[name]
    _, scanned = await explain(filled, statement, arguments(await users(filled, 500)))
    assert table in scanned


async def test_actions_are_read_from_the_index_alone(filled: asyncpg.Connection):
    statement, arguments, _ = CASES["actions of a slice"]
    said = await filled.fetchval(
        "EXPLAIN (ANALYZE, FORMAT JSON) " + statement, *arguments(await users(filled, 500))
    )
    scans = [
        node
        for node in nodes(json.loads(said)[0]["Plan"])
        if node.get("Index Name") == "action_log_user_created"
    ]
    assert {scan["Node Type"] for scan in scans} == {"Index Only Scan"}
    assert sum(scan["Heap Fetches"] for scan in scans) == 0


async def test_page_costs_its_members_and_not_the_list(filled: asyncpg.Connection):
    """Blocks touched by finding a page, of the some 700 that the list has."""
    for statement, arguments in (
        (pages.PAGE_MEMBERS, (RUN, 50)),
        (pages.NEXT_PAGE, (RUN, 41, 4, 1)),
    ):
        said = await filled.fetchval(
            "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + statement, *arguments
        )
        plan = json.loads(said)[0]["Plan"]
        assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 100
