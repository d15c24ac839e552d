"""What is in the tables and how the server is set, as far as it can harm a run."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from lib.store.database import Connection
from lib.store.rows import every

SAMPLE = 1000
"""So many rows are looked at."""


@dataclass(frozen=True)
class Server:
    """How the server takes this role's statements.

    `patience`: how many seconds it lets one run, 0 for any.
    """

    read_only: bool
    replica: bool
    patience: float
    connections: int
    most_connections: int
    now: datetime


SERVER = """
SELECT
  current_setting('default_transaction_read_only')::BOOLEAN AS read_only,
  pg_is_in_recovery() AS replica,
  extract(EPOCH FROM current_setting('statement_timeout')::INTERVAL)::FLOAT8 AS patience,
  (SELECT count(*) FROM pg_stat_activity) AS connections,
  current_setting('max_connections')::BIGINT AS most_connections,
  clock_timestamp() AS now
"""


async def server(connection: Connection) -> Server:
    return every(Server, await connection.fetch(SERVER))[0]


@dataclass(frozen=True)
class Vectors:
    """Of a sample of the posts' vectors: how many there are, and how many cannot be used."""

    looked_at: int
    missing: int
    other_length: int
    not_unit: int


VECTORS = """
SELECT
  count(*) AS looked_at,
  count(*) FILTER (WHERE embedding IS NULL) AS missing,
  count(*) FILTER (WHERE vector_dims(embedding) <> 384) AS other_length,
  count(*) FILTER (WHERE abs(vector_norm(embedding) - 1) > 0.01) AS not_unit
FROM (
  SELECT embedding FROM post_embeddings WHERE model_version = $1::TEXT LIMIT $2::BIGINT
) AS sample
"""


async def vectors(connection: Connection, model: str) -> Vectors:
    """Look at some vectors of a model; pgvector's functions must be found (`find_operators`)."""
    return every(Vectors, await connection.fetch(VECTORS, model, SAMPLE))[0]


MODELS = """
SELECT DISTINCT model_version::TEXT AS model_version FROM (
  SELECT model_version FROM post_embeddings LIMIT $1::BIGINT
) AS sample
ORDER BY model_version
LIMIT 5
"""


async def models(connection: Connection) -> tuple[str, ...]:
    """Return models that some posts are embedded by."""
    return tuple(row["model_version"] for row in await connection.fetch(MODELS, SAMPLE))


ACTION_TYPES = """
SELECT action_type::TEXT AS action_type, count(*) AS number
FROM (SELECT action_type FROM action_log ORDER BY created_at DESC LIMIT $1::BIGINT) AS sample
GROUP BY sample.action_type
"""


async def action_types(connection: Connection) -> dict[str, int]:
    """Return the types of the latest actions, and how many there are of each."""
    rows = await connection.fetch(ACTION_TYPES, SAMPLE)
    return {row["action_type"]: row["number"] for row in rows}


AHEAD = """
SELECT count(*) FROM (
  SELECT FROM action_log WHERE created_at > clock_timestamp() + INTERVAL '5 minutes'
  LIMIT $1::BIGINT
) AS ahead
"""


async def ahead(connection: Connection) -> int:
    """Return how many actions are dated in the future, up to SAMPLE."""
    found: int = await connection.fetchval(AHEAD, SAMPLE)
    return found


@dataclass(frozen=True)
class LastRun:
    """The last run and how long ago, in seconds, it was planned and came on."""

    open: bool
    planned: float
    progressed: float


LAST_RUN = """
SELECT
  finished_at IS NULL AS open,
  extract(EPOCH FROM clock_timestamp() - window_end)::FLOAT8 AS planned,
  extract(EPOCH FROM clock_timestamp() - progressed_at)::FLOAT8 AS progressed
FROM embedding.runs
ORDER BY number DESC
LIMIT 1
"""


async def last_run(connection: Connection) -> LastRun | None:
    return next(iter(every(LastRun, await connection.fetch(LAST_RUN))), None)


FAILURES = """
SELECT reason, count(*) AS number
FROM (SELECT reason FROM embedding.failures LIMIT $1::BIGINT) AS sample
GROUP BY reason
ORDER BY number DESC, reason
LIMIT 5
"""


async def failures(connection: Connection) -> dict[str, int]:
    """Return why users have no vector though they should, the most frequent reasons first."""
    rows = await connection.fetch(FAILURES, SAMPLE)
    return {row["reason"]: row["number"] for row in rows}


USER_PLAN = """
EXPLAIN (FORMAT JSON)
SELECT post_id, action_type, created_at
FROM action_log
WHERE user_id = $1::UUID AND created_at >= now() - INTERVAL '90 days'
LIMIT 1001
"""

WINDOW_PLAN = """
EXPLAIN (FORMAT JSON)
SELECT user_id FROM action_log WHERE created_at >= now() - INTERVAL '1 second'
"""

POSTS_PLAN = """
EXPLAIN (FORMAT JSON)
SELECT embedding FROM post_embeddings WHERE post_id = ANY (ARRAY[$1::UUID])
"""


async def full_scans(connection: Connection) -> dict[str, float]:
    """Return which tables a page would read from end to end, and the planner's cost of that.

    Planned for an id that nobody has, which statistics take for anybody's.
    """
    nobody = UUID(int=0)
    plans = [
        await connection.fetchval(USER_PLAN, nobody),
        await connection.fetchval(WINDOW_PLAN),
        await connection.fetchval(POSTS_PLAN, nobody),
    ]
    scans: dict[str, float] = {}
    for plan in plans:
        for node in _nodes(json.loads(plan)[0]["Plan"]):
            if node["Node Type"] == "Seq Scan":
                name = node["Relation Name"]
                scans[name] = max(scans.get(name, 0.0), node["Total Cost"])
    return scans


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from _nodes(part)
