"""The means of post embeddings that centred schemes take off: rows that never change."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from pgvector import Vector

from lib.store.database import Connection


@dataclass(frozen=True)
class Mean:
    """A stored mean: (384,) float64, of `count` posts' embeddings by one model, read at `cut`."""

    id: int
    model: str
    cut: datetime
    count: int
    vector: NDArray[np.float64]


NEWEST = """
SELECT id, model, cut, count, vector
FROM embedding.means
WHERE model = $1::TEXT
ORDER BY id DESC
LIMIT 1
"""


async def newest(connection: Connection, model: str) -> Mean | None:
    """Return the model's newest mean."""
    row = await connection.fetchrow(NEWEST, model)
    return row and _mean(**row)


NUMBERED = """
SELECT id, model, cut, count, vector FROM embedding.means WHERE id = $1::BIGINT
"""


async def numbered(connection: Connection, mean: int) -> Mean | None:
    """Return the mean of this id."""
    row = await connection.fetchrow(NUMBERED, mean)
    return row and _mean(**row)


def _mean(id: int, model: str, cut: datetime, count: int, vector: Vector) -> Mean:  # noqa: A002  # the column's name
    return Mean(id, model, cut, count, vector.to_numpy().astype(np.float64))


MEAN_LOCK = """
SELECT pg_advisory_xact_lock(hashtextextended('user-embeddings mean', 0))
"""


async def lock_means(connection: Connection) -> None:
    """Wait until nobody else makes a mean, and keep it so until the transaction ends."""
    await connection.execute(MEAN_LOCK)


LAST_CHECK = """
SELECT checked_at FROM embedding.mean_checks WHERE model = $1::TEXT
"""


async def last_check(connection: Connection, model: str) -> datetime | None:
    """Return when the model's mean was last compared with its posts."""
    checked_at: datetime | None = await connection.fetchval(LAST_CHECK, model)
    return checked_at


SAMPLE = """
SELECT coalesce(string_agg(uuid_send(post_id), '' ORDER BY post_id), '')
FROM (
  SELECT post_id
  FROM post_embeddings
  WHERE model_version = $1::TEXT
  ORDER BY hashtextextended(post_id::TEXT, 0), post_id
  LIMIT $2::BIGINT
) AS chosen
"""


async def sample(connection: Connection, model: str, limit: int) -> NDArray[np.void]:
    """Return up to `limit` posts embedded by the model, (p,) of V16, sorted.

    By a hash of their ids: another time it finds the same ones, as far as they are still there.
    """
    packed = await connection.fetchval(SAMPLE, model, limit)
    return np.frombuffer(packed, dtype="V16")


INSERT_MEAN = """
INSERT INTO embedding.means (model, cut, count, vector)
SELECT
  $1::TEXT,
  clock_timestamp(),
  $2::BIGINT,
  -- never evaluated: it makes $3 of the column's type, whatever schema that lives in
  coalesce($3, (SELECT vector FROM embedding.means LIMIT 1))
RETURNING id, model, cut, count, vector
"""


async def insert(
    connection: Connection, model: str, count: int, vector: NDArray[np.float64]
) -> Mean:
    """Store a mean, (384,), of so many posts."""
    row = await connection.fetchrow(INSERT_MEAN, model, count, Vector(vector.astype(np.float32)))
    return _mean(**row)


RECORD_CHECK = """
INSERT INTO embedding.mean_checks (model, checked_at, moved)
VALUES ($1::TEXT, clock_timestamp(), $2::FLOAT8)
ON CONFLICT (model) DO UPDATE SET checked_at = excluded.checked_at, moved = excluded.moved
"""


async def record_check(connection: Connection, model: str, moved: float) -> None:
    """Remember that the mean was compared, and how far its posts had moved from it."""
    await connection.execute(RECORD_CHECK, model, moved)
