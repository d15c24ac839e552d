"""What some vectors have beside them: their product with the mean, and their interests."""

from collections.abc import Sequence
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from pgvector import Vector

from lib.embedding.interests import InterestRows
from lib.store.database import Connection

WRITE_OFFSETS = """
INSERT INTO embedding.user_offsets (user_id, mean_id, centre)
SELECT user_id, $2::BIGINT, centre
FROM unnest($1::UUID[], $3::FLOAT8[]) AS made (user_id, centre)
ON CONFLICT (user_id) DO UPDATE SET mean_id = excluded.mean_id, centre = excluded.centre
"""


async def write_offsets(
    connection: Connection, users: Sequence[UUID], mean: int, centres: NDArray[np.float64]
) -> None:
    """Store the products, (n,), of the users' vectors with the mean."""
    if users:
        await connection.execute(WRITE_OFFSETS, users, mean, centres.tolist())


FORGET_INTERESTS = """
DELETE FROM embedding.user_interests WHERE user_id = ANY ($1::UUID[])
"""

WRITE_INTERESTS = """
INSERT INTO embedding.user_interests (user_id, place, share, medoid, centre, embedding)
SELECT made.user_id, made.place, made.share, made.medoid, made.centre, made.embedding
FROM unnest(
  $1::UUID[],
  $2::INTEGER[],
  $3::FLOAT8[],
  $4::UUID[],
  $5::FLOAT8[],
  -- never evaluated: it makes $6 an array of the column's type, whatever schema that lives in
  coalesce($6, ARRAY(SELECT embedding FROM embedding.user_interests))
) AS made (user_id, place, share, medoid, centre, embedding)
"""


async def replace_interests(
    connection: Connection,
    users: Sequence[UUID],
    written: NDArray[np.bool_],
    rows: InterestRows,
) -> None:
    """Store interests in the place of those that their users had before.

    `users`, `written`: (n,), whom the rows' owners number, and whose vectors were written. In a
    transaction of the caller's, after that write, which holds off whoever writes the same users.
    """
    chosen = np.flatnonzero(written[rows.owners])
    owners = [users[owner] for owner in rows.owners[chosen]]
    if owners:
        await connection.execute(FORGET_INTERESTS, list(dict.fromkeys(owners)))
        await connection.execute(
            WRITE_INTERESTS,
            owners,
            rows.places[chosen].tolist(),
            rows.shares[chosen].tolist(),
            [UUID(bytes=medoid.tobytes()) for medoid in rows.medoids[chosen]],
            rows.centres[chosen].tolist(),
            list(map(Vector, rows.vectors[chosen])),
        )
