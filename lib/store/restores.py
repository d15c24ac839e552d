"""What a snapshot held, written back: nothing newer is replaced, and nobody comes back."""

from collections.abc import Sequence
from itertools import compress

import numpy as np
from numpy.typing import NDArray
from pgvector import Vector

from lib.store.database import Connection
from lib.store.interests import replace_interests, write_offsets
from lib.store.means import Mean, lock_means
from lib.store.snapshots import Part, read_means

RESTORE_MEANS = """
INSERT INTO embedding.means (id, model, cut, count, vector)
OVERRIDING SYSTEM VALUE
SELECT id, model, cut, count, vector
FROM unnest(
  $1::BIGINT[],
  $2::TEXT[],
  $3::TIMESTAMPTZ[],
  $4::BIGINT[],
  -- never evaluated: it makes $5 an array of the column's type, whatever schema that lives in
  coalesce($5, ARRAY(SELECT vector FROM embedding.means))
) AS kept (id, model, cut, count, vector)
ON CONFLICT (id) DO NOTHING
RETURNING id
"""

# What the next mean is numbered by: after those that were numbered elsewhere.
NUMBER_MEANS = """
SELECT setval(
  pg_get_serial_sequence('embedding.means', 'id')::REGCLASS,
  greatest(
    (SELECT max(id) FROM embedding.means),
    pg_sequence_last_value(pg_get_serial_sequence('embedding.means', 'id')::REGCLASS)
  )
)
"""


async def restore_means(connection: Connection, means: Sequence[Mean]) -> set[int]:
    """Write the means that are not there; return the ids of those that are now as they were.

    Of another id there is another mean: a database that was begun anew has numbered its own.
    """
    if not means:
        return set()
    async with connection.transaction():
        await lock_means(connection)
        added = await connection.fetch(
            RESTORE_MEANS,
            [mean.id for mean in means],
            [mean.model for mean in means],
            [mean.cut for mean in means],
            [mean.count for mean in means],
            [Vector(mean.vector.astype(np.float32)) for mean in means],
        )
        if added:
            await connection.execute(NUMBER_MEANS)
        held = {mean.id: mean for mean in await read_means(connection, {m.id for m in means})}
    return {mean.id for mean in means if _same(mean, held[mean.id])}


def _same(one: Mean, other: Mean) -> bool:
    return (one.model, one.cut) == (other.model, other.cut) and bool(
        np.array_equal(one.vector, other.vector)
    )


# As `vectors.UPSERT`, but for vectors of several models and times; what is there already is left.
RESTORE = """
WITH withheld AS MATERIALIZED (
  SELECT embedding.withheld($1::UUID[], $5::TIMESTAMPTZ[]) AS users
),
written AS (
  INSERT INTO user_embeddings AS stored
    (user_id, embedding, model_version, generated_at, updated_at)
  SELECT kept.user_id, kept.embedding, kept.model_version, kept.generated_at, clock_timestamp()
  FROM unnest(
    $1::UUID[],
    -- never evaluated: it makes $2 an array of the column's type, whatever schema that lives in
    coalesce($2, ARRAY(SELECT embedding FROM user_embeddings)),
    $3::TEXT[],
    $4::TIMESTAMPTZ[]
  ) AS kept (user_id, embedding, model_version, generated_at)
  WHERE (SELECT true FROM users WHERE users.id = kept.user_id)
    AND kept.user_id <> ALL ((SELECT users FROM withheld)::UUID[])
  ORDER BY kept.user_id
  ON CONFLICT (user_id) DO UPDATE SET
    embedding = excluded.embedding,
    model_version = excluded.model_version,
    generated_at = excluded.generated_at,
    updated_at = excluded.updated_at
  WHERE stored.embedding IS NULL
    OR coalesce(stored.generated_at, '-infinity') < excluded.generated_at
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


async def restore(connection: Connection, part: Part) -> NDArray[np.bool_]:
    """Write back the vectors of a part's users, with what stands beside them; all or nothing.

    Left out are users who are gone, who were erased since, or opted out, and whose vector is as
    new or newer. Returns whose were written, (n,). The part's means must be there.
    """
    async with connection.transaction():
        rows = await connection.fetch(
            RESTORE,
            part.users,
            list(map(Vector, part.vectors)),
            part.models,
            part.generated_at,
            part.erased_at,
        )
        known = {row["user_id"] for row in rows}
        written = np.array([user in known for user in part.users], dtype=np.bool_)
        for mean in part.means:
            centred = written & np.array([named == mean.id for named in part.mean_ids])
            users = list(compress(part.users, centred))
            await write_offsets(connection, users, mean.id, part.centres[centred])
        await replace_interests(connection, part.users, written, part.interests)
    return written
