"""The indexed copy of the vectors, where db/similar.sql has made one, brought up to date."""

from uuid import UUID

from lib.store.database import Connection
from lib.store.neighbours import find_operators

TO_REFRESH = """
SELECT to_regclass('embedding.user_neighbours') IS NOT NULL
  AND EXISTS (SELECT FROM embedding.runs WHERE id = $1::UUID AND finished_at IS NOT NULL)
"""


async def to_refresh(connection: Connection, run: UUID) -> bool:
    """Whether there is a copy, and the run is through."""
    found: bool = await connection.fetchval(TO_REFRESH, run)
    return found


TURN = """
SELECT pg_try_advisory_xact_lock(hashtextextended('user-embeddings neighbours', 0))
"""

# The rows' keys are locked: a user who is erased meanwhile waits for this, or is not found by it.
REFRESH = """
WITH taken AS (
  DELETE FROM embedding.neighbours_due
  WHERE id IN (SELECT id FROM embedding.neighbours_due ORDER BY id LIMIT $1::BIGINT)
  RETURNING user_id
),
held AS MATERIALIZED (
  SELECT user_id, model_version, embedding
  FROM user_embeddings
  WHERE user_id IN (SELECT user_id FROM taken) AND embedding IS NOT NULL
  ORDER BY user_id
  FOR KEY SHARE
),
gone AS (
  DELETE FROM embedding.user_neighbours
  WHERE user_id IN (SELECT user_id FROM taken) AND user_id NOT IN (SELECT user_id FROM held)
),
written AS (
  INSERT INTO embedding.user_neighbours AS former (user_id, model_version, embedding)
  SELECT user_id, model_version, embedding FROM held
  ON CONFLICT (user_id) DO UPDATE SET
    model_version = excluded.model_version, embedding = excluded.embedding
  WHERE former.model_version <> excluded.model_version OR former.embedding <> excluded.embedding
)
SELECT count(*) FROM taken
"""


async def refresh(connection: Connection, limit: int) -> int:
    """Copy vectors that have changed, of at most `limit` changes; return how many those were.

    0 where somebody else is at it, who takes them all.
    """
    async with connection.transaction():
        if not await connection.fetchval(TURN):
            return 0
        await find_operators(connection)
        taken: int = await connection.fetchval(REFRESH, limit)
        return taken
