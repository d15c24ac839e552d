"""Whose vectors lie nearest to a user's, among those made in the same way."""

from dataclasses import dataclass
from uuid import UUID

from lib.store.database import Connection

SPARE = 20
"""So many more are taken from the copy than asked for: some may be erased by now, or have moved."""

# pgvector may live in a schema of its own, and so do its operators. JIT takes longer than a scan.
OPERATORS = """
SELECT
  set_config(
    'search_path',
    concat_ws(', ', nullif(current_setting('search_path'), ''), quote_ident(n.nspname)),
    true
  ),
  set_config('jit', 'off', true)
FROM pg_extension e
JOIN pg_namespace n ON n.oid = e.extnamespace
WHERE e.extname = 'vector'
"""


async def find_operators(connection: Connection) -> None:
    """Let pgvector's operators be found until the transaction ends."""
    await connection.execute(OPERATORS)


@dataclass(frozen=True)
class Neighbour:
    """Another user, and the cosine of the angle between the two vectors, which have length 1."""

    user: UUID
    similarity: float


NEAREST = """
SELECT user_id, -distance AS similarity
FROM (
  SELECT
    user_id,
    embedding <#> (SELECT embedding FROM user_embeddings WHERE user_id = $1::UUID) AS distance
  FROM user_embeddings
  WHERE user_id <> $1::UUID
    AND embedding IS NOT NULL
    AND model_version = (SELECT model_version FROM user_embeddings WHERE user_id = $1::UUID)
  ORDER BY distance, user_id
  LIMIT $2::BIGINT
) AS near
ORDER BY distance, user_id
"""


async def nearest(connection: Connection, user: UUID, limit: int) -> list[Neighbour]:
    """Return the nearest users, the very nearest first, by looking at all there are.

    In a transaction of the caller's.
    """
    await find_operators(connection)
    return [_neighbour(**row) for row in await connection.fetch(NEAREST, user, limit)]


COPIED = """
SELECT to_regclass('embedding.user_neighbours') IS NOT NULL AS copied
"""


async def copied(connection: Connection) -> bool:
    """Whether there is an indexed copy of the vectors: see db/similar.sql."""
    found: bool = await connection.fetchval(COPIED)
    return found


# The scan goes on until enough users of the same model_version are found.
SEARCHING = """
SELECT
  set_config('hnsw.iterative_scan', 'relaxed_order', true),
  set_config('hnsw.ef_search', '200', true)
"""

# What the index finds is looked up: who is gone does not show, and who has moved is where they are.
NEAREST_COPIED = """
WITH asked AS MATERIALIZED (
  SELECT embedding, model_version FROM user_embeddings WHERE user_id = $1::UUID
),
near AS MATERIALIZED (
  SELECT user_id
  FROM embedding.user_neighbours
  WHERE user_id <> $1::UUID AND model_version = (SELECT model_version FROM asked)
  ORDER BY embedding <#> (SELECT embedding FROM asked)
  LIMIT $2::BIGINT + $3::BIGINT
)
SELECT held.user_id, -(held.embedding <#> asked.embedding) AS similarity
FROM near
JOIN user_embeddings AS held ON held.user_id = near.user_id
JOIN asked ON asked.model_version = held.model_version
WHERE held.embedding IS NOT NULL
ORDER BY held.embedding <#> asked.embedding, held.user_id
LIMIT $2::BIGINT
"""


async def nearest_copied(connection: Connection, user: UUID, limit: int) -> list[Neighbour]:
    """Return nearly the nearest users, by the copy's index; fewer than there are, now and then.

    In a transaction of the caller's, where there is a copy.
    """
    await find_operators(connection)
    await connection.execute(SEARCHING)
    return [_neighbour(**row) for row in await connection.fetch(NEAREST_COPIED, user, limit, SPARE)]


def _neighbour(user_id: UUID, similarity: float) -> Neighbour:
    return Neighbour(user_id, min(max(similarity, -1.0), 1.0))
