"""The interest vectors: `user_embeddings`, and what Postgres holds of them now."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from pgvector import Vector

from lib.store.database import Connection


@dataclass(frozen=True)
class Stored:
    """One stored vector: (384,) float32, and the moment its user's actions were read."""

    user: UUID
    embedding: NDArray[np.float32]
    generated_at: datetime


@dataclass(frozen=True)
class NewVectors:
    """Vectors of n users, read at one moment.

    `users`: in the order of their ids; `vectors`: (n, 384) float32; `erased`: when each was erased,
    as it was then known.
    """

    users: Sequence[UUID]
    vectors: NDArray[np.float32]
    model_version: str
    generated_at: datetime
    erased: Sequence[datetime | None]


# What a vector had beside it goes with it; `lib.store.interests` writes what the new one has.
UPSERT = """
WITH withheld AS MATERIALIZED (
  SELECT embedding.withheld($1::UUID[], $5::TIMESTAMPTZ[]) AS users
),
written AS (
  INSERT INTO user_embeddings AS stored
    (user_id, embedding, model_version, generated_at, updated_at)
  SELECT made.user_id, made.embedding, $3::TEXT, $4::TIMESTAMPTZ, clock_timestamp()
  FROM unnest(
    $1::UUID[],
    -- never evaluated: it makes $2 an array of the column's type, whatever schema that lives in
    coalesce($2, ARRAY(SELECT embedding FROM user_embeddings))
  ) AS made (user_id, embedding)
  WHERE (SELECT true FROM users WHERE users.id = made.user_id)
    AND made.user_id <> ALL ((SELECT users FROM withheld)::UUID[])
  ORDER BY made.user_id
  ON CONFLICT (user_id) DO UPDATE SET
    embedding = excluded.embedding,
    model_version = excluded.model_version,
    generated_at = excluded.generated_at,
    updated_at = excluded.updated_at
  WHERE stored.embedding IS NULL
    OR coalesce(stored.generated_at, '-infinity') <= excluded.generated_at
  RETURNING user_id
),
former_offset AS (
  DELETE FROM embedding.user_offsets USING written WHERE user_offsets.user_id = written.user_id
),
former_interest AS (
  DELETE FROM embedding.user_interests USING written WHERE user_interests.user_id = written.user_id
)
SELECT user_id FROM written
"""


async def upsert(connection: Connection, new: NewVectors) -> set[UUID]:
    """Write the vectors of those users who exist, unless a newer read is stored.

    Whoever was erased since the read is left out, and whoever opted out. Returns whose were
    written. In the order of the users' ids, so that two writers never wait for each other
    crosswise; all or nothing.
    """
    if not new.users:
        return set()
    rows = await connection.fetch(
        UPSERT,
        new.users,
        list(map(Vector, new.vectors)),
        new.model_version,
        new.generated_at,
        new.erased,
    )
    return {row["user_id"] for row in rows}


REMOVE = """
DELETE FROM user_embeddings
WHERE user_id = ANY ($1::UUID[]) AND coalesce(generated_at, '-infinity') <= $2
"""


async def remove(connection: Connection, users: Sequence[UUID], generated_at: datetime) -> None:
    """Remove the vectors of users of whom nothing is left, unless a newer read is stored."""
    if users:
        await connection.execute(REMOVE, users, generated_at)


READ_STORED = """
SELECT user_id, embedding, generated_at
FROM user_embeddings
WHERE user_id = ANY ($1::UUID[]) AND embedding IS NOT NULL
"""


async def read_stored(connection: Connection, users: Sequence[UUID]) -> list[Stored]:
    """Return the vectors that these users have now."""
    rows = await connection.fetch(READ_STORED, users)
    return [
        Stored(row["user_id"], row["embedding"].to_numpy(), row["generated_at"]) for row in rows
    ]


READ_GENERATED = """
SELECT user_id, generated_at
FROM user_embeddings
WHERE user_id = ANY ($1::UUID[]) AND embedding IS NOT NULL
"""


async def read_generated(connection: Connection, users: Sequence[UUID]) -> dict[UUID, datetime]:
    """Return when the vectors that these users have now were generated."""
    rows = await connection.fetch(READ_GENERATED, users)
    return {row["user_id"]: row["generated_at"] for row in rows}
