"""Rebuilds: everybody becomes due, a page of users at a time, each page once."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from lib.store.database import Connection

REBUILD_LOCK = """
SELECT pg_advisory_xact_lock(hashtextextended('user-embeddings rebuild', 0))
"""


@dataclass(frozen=True)
class Rebuild:
    """How far a rebuild is: the users it has looked at, and how many of them it made due."""

    id: int
    started_at: datetime
    users: int
    due: int
    finished: bool


OPEN_REBUILD = """
SELECT id, started_at, users, due, false AS finished
FROM embedding.rebuilds
WHERE finished_at IS NULL
ORDER BY id
LIMIT 1
"""

BEGIN_REBUILD = """
INSERT INTO embedding.rebuilds (started_at) VALUES (clock_timestamp())
RETURNING id, started_at, users, due, false AS finished
"""


async def open_rebuild(connection: Connection) -> Rebuild:
    """Return the rebuild that was begun and not finished, or begin one."""
    async with connection.transaction():
        await connection.execute(REBUILD_LOCK)
        row = await connection.fetchrow(OPEN_REBUILD) or await connection.fetchrow(BEGIN_REBUILD)
    return Rebuild(**row)


# Vectors are looked up one by one: left to choose, Postgres may read all there are once a page.
# The log it reads as it likes, which is by index where there is one and the log is large.
MAKE_DUE = """
WITH rebuild AS MATERIALIZED (
  SELECT last_user FROM embedding.rebuilds WHERE id = $1::BIGINT AND finished_at IS NULL
),
page AS MATERIALIZED (
  SELECT id
  FROM users
  WHERE id >= coalesce((SELECT last_user FROM rebuild), '00000000-0000-0000-0000-000000000000')
    AND id IS DISTINCT FROM (SELECT last_user FROM rebuild)
    AND EXISTS (SELECT FROM rebuild)
  ORDER BY id
  LIMIT $2::BIGINT
),
due AS (
  INSERT INTO embedding.due (user_id, reason)
  SELECT id, 'rebuild'
  FROM page
  WHERE (SELECT true FROM user_embeddings AS held WHERE held.user_id = page.id)
    OR EXISTS (
      SELECT FROM action_log
      WHERE action_log.user_id = page.id AND created_at >= statement_timestamp() - $3::INTERVAL
    )
  ON CONFLICT DO NOTHING
  RETURNING user_id
)
UPDATE embedding.rebuilds SET
  last_user = coalesce((SELECT id FROM page ORDER BY id DESC LIMIT 1), last_user),
  users = users + (SELECT count(*) FROM page),
  due = due + (SELECT count(*) FROM due),
  finished_at = CASE WHEN (SELECT count(*) FROM page) < $2 THEN clock_timestamp() END
WHERE id = $1 AND finished_at IS NULL
"""

REBUILD = """
SELECT id, started_at, users, due, finished_at IS NOT NULL AS finished
FROM embedding.rebuilds
WHERE id = $1
"""


async def make_due(
    connection: Connection, rebuild: int, users: int, lookback: timedelta
) -> Rebuild:
    """Look at the next users, so many at most, and return how far the rebuild is then.

    Due is whoever has a vector or acted within the lookback. The page and the progress are one
    transaction, and two that rebuild at once take turns.
    """
    async with connection.transaction():
        await connection.execute(REBUILD_LOCK)
        await connection.execute(MAKE_DUE, rebuild, users, lookback)
        row = await connection.fetchrow(REBUILD, rebuild)
    return Rebuild(**row)
