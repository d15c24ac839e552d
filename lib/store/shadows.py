"""Shadow vectors: what another scheme would make, beside the live vectors."""

from collections.abc import Sequence
from dataclasses import dataclass

from pgvector import Vector

from lib.store.database import Connection
from lib.store.vectors import NewVectors

UPSERT_SHADOWS = """
WITH withheld AS MATERIALIZED (
  SELECT embedding.withheld($1::UUID[], $6::TIMESTAMPTZ[]) AS users
)
INSERT INTO embedding.shadow_vectors AS stored
  (user_id, embedding, model_version, generated_at, similarity)
SELECT made.user_id, made.embedding, $3::TEXT, $4::TIMESTAMPTZ, made.similarity
FROM unnest(
  $1::UUID[],
  -- never evaluated: it makes $2 an array of the column's type, whatever schema that lives in
  coalesce($2, ARRAY(SELECT embedding FROM embedding.shadow_vectors)),
  $5::FLOAT8[]
) AS made (user_id, embedding, similarity)
WHERE (SELECT true FROM users WHERE users.id = made.user_id)
  AND made.user_id <> ALL ((SELECT users FROM withheld)::UUID[])
ORDER BY made.user_id
ON CONFLICT (user_id) DO UPDATE SET
  embedding = excluded.embedding,
  model_version = excluded.model_version,
  generated_at = excluded.generated_at,
  similarity = excluded.similarity
WHERE stored.generated_at <= excluded.generated_at
"""


async def upsert_shadows(
    connection: Connection, new: NewVectors, similarities: Sequence[float | None]
) -> None:
    """Write the shadow vectors, and their cosines to the live ones, None without one.

    As live vectors are written: in the users' order, no older read over a newer one, of nobody who
    was erased since.
    """
    if new.users:
        await connection.execute(
            UPSERT_SHADOWS,
            new.users,
            list(map(Vector, new.vectors)),
            new.model_version,
            new.generated_at,
            similarities,
            new.erased,
        )


@dataclass(frozen=True)
class Likeness:
    """How shadow vectors of one `model_version` compare with the live ones.

    `users`: who have one; `compared`: those of them who had a live one. Of their cosines the
    `lowest`, the one that a `tenth` lie below, `median` and `mean`; None where there are none.
    """

    model_version: str
    users: int
    compared: int
    lowest: float | None
    tenth: float | None
    median: float | None
    mean: float | None


COMPARE = """
SELECT
  model_version,
  count(*) AS users,
  count(similarity) AS compared,
  min(similarity) AS lowest,
  percentile_cont(0.1) WITHIN GROUP (ORDER BY similarity) AS tenth,
  percentile_cont(0.5) WITHIN GROUP (ORDER BY similarity) AS median,
  avg(similarity) AS mean
FROM embedding.shadow_vectors
GROUP BY model_version
ORDER BY model_version
"""


async def compare(connection: Connection) -> list[Likeness]:
    """Return how the shadow vectors compare with the live ones, by what they are of."""
    return [Likeness(**row) for row in await connection.fetch(COMPARE)]


MISSING = """
SELECT count(*)
FROM user_embeddings
WHERE embedding IS NOT NULL AND NOT EXISTS (
  SELECT FROM embedding.shadow_vectors WHERE shadow_vectors.user_id = user_embeddings.user_id
)
"""


async def missing(connection: Connection) -> int:
    """Return how many live vectors have no shadow."""
    without: int = await connection.fetchval(MISSING)
    return without


DROP_SHADOWS = """
DELETE FROM embedding.shadow_vectors WHERE user_id IN (
  SELECT user_id FROM embedding.shadow_vectors LIMIT $1::BIGINT
)
"""


async def drop_shadows(connection: Connection, limit: int) -> int:
    """Delete up to `limit` shadow vectors; return how many there were."""
    done = await connection.execute(DROP_SHADOWS, limit)
    return int(done.rpartition(" ")[2])
