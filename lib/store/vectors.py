"""The interest vectors: `user_embeddings`, and what Postgres holds of them now."""

from collections.abc import Mapping, Sequence
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


@dataclass(frozen=True)
class Written:
    """Whose vectors were written, and of some of them those they took the place of, (384,)."""

    users: set[UUID]
    former: Mapping[UUID, NDArray[np.float32]]


SAMPLE = 16
"""Of so many users the former vectors are looked at: an index look-up and 1.5 KB each."""

# What a vector had beside it goes with it; `lib.store.interests` writes what the new one has.
# The former vectors are those of the statement's snapshot, and tell how far a user has moved.
UPSERT = """
WITH withheld AS MATERIALIZED (
  SELECT embedding.withheld($1::UUID[], $5::TIMESTAMPTZ[]) AS users
),
former AS MATERIALIZED (
  SELECT user_id, embedding
  FROM user_embeddings
  WHERE user_id = ANY ($6::UUID[]) AND model_version = $3::TEXT
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
SELECT written.user_id, former.embedding AS former
FROM written
LEFT JOIN former USING (user_id)
"""


async def upsert(connection: Connection, new: NewVectors) -> Written:
    """Write the vectors of those users who exist, unless a newer read is stored.

    Whoever was erased since the read is left out, and whoever opted out. Returns whose were
    written; of up to SAMPLE users, evenly chosen, also the vectors of the same model_version that
    were there before. In the order of the users' ids, so that two writers never wait for each other
    crosswise; all or nothing.
    """
    if not new.users:
        return Written(set(), {})
    rows = await connection.fetch(
        UPSERT,
        new.users,
        list(map(Vector, new.vectors)),
        new.model_version,
        new.generated_at,
        new.erased,
        new.users[:: -(-len(new.users) // SAMPLE)],
    )
    return Written(
        {row["user_id"] for row in rows},
        {row["user_id"]: row["former"].to_numpy() for row in rows if row["former"] is not None},
    )


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
