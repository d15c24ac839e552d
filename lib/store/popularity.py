"""How popular posts are: `embedding.post_popularity`, and until when the log is in it.

An action adds to its post's heat what it weighs, exactly, in whatever order actions come. The state
row moves on in the transaction that adds, so none counts twice and none is passed over.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from lib.store.database import Connection

POPULARITY_LOCK = """
SELECT pg_advisory_xact_lock(hashtextextended('user-embeddings popularity', 0))
"""


async def lock_popularity(connection: Connection) -> None:
    """Wait until nobody else changes it, and keep it so until the transaction ends."""
    await connection.execute(POPULARITY_LOCK)


@dataclass(frozen=True)
class State:
    """What heats stand for: actions before `counted_until`, by a half-life in days."""

    half_life: float
    counted_until: datetime


READ_STATE = """
SELECT half_life, counted_until FROM embedding.popularity_state
"""


async def read_state(connection: Connection) -> State | None:
    """Return what the heats stand for; None before any were made."""
    row = await connection.fetchrow(READ_STATE)
    return State(**row) if row else None


WRITE_STATE = """
INSERT INTO embedding.popularity_state (half_life, counted_until)
VALUES ($1::FLOAT8, $2::TIMESTAMPTZ)
ON CONFLICT (one) DO UPDATE SET
  half_life = excluded.half_life, counted_until = excluded.counted_until
"""


async def write_state(connection: Connection, state: State) -> None:
    """Say what the heats stand for from now on."""
    await connection.execute(WRITE_STATE, state.half_life, state.counted_until)


STEP_END = """
SELECT CASE
  WHEN count(*) < $3::BIGINT THEN $2::TIMESTAMPTZ
  ELSE max(created_at) + INTERVAL '1 microsecond'
END
FROM (
  SELECT created_at::TIMESTAMPTZ AS created_at
  FROM action_log
  WHERE created_at >= $1::TIMESTAMPTZ AND created_at < $2::TIMESTAMPTZ
  ORDER BY action_log.created_at
  LIMIT $3::BIGINT
) AS step
"""


async def step_end(
    connection: Connection, start: datetime, end: datetime, actions: int
) -> datetime:
    """Return how far, up to `end`, one gets from `start` with so many actions.

    And with those that were done in the same microsecond as the last of them.
    """
    reached: datetime = await connection.fetchval(STEP_END, start, end, actions)
    return reached


# Powers are of times relative to the step's end, and never so small that they vanish: Postgres
# takes that for an error.
ADD = """
INSERT INTO embedding.post_popularity AS held (post_id, heat)
SELECT
  post_id::UUID,
  ln(sum(
    ($4::FLOAT8[])[array_position($3::TEXT[], action_type)] * power(
      2::FLOAT8,
      greatest(date_part('epoch', created_at - $2::TIMESTAMPTZ) / 86400 / $5::FLOAT8, -1000)
    )
  )) / ln(2::FLOAT8)
    + date_part('epoch', $2::TIMESTAMPTZ - TIMESTAMPTZ '2000-01-01 00:00+00') / 86400 / $5::FLOAT8
FROM action_log
WHERE created_at >= $1::TIMESTAMPTZ AND created_at < $2::TIMESTAMPTZ
  AND action_type = ANY ($3::TEXT[])
GROUP BY post_id
ON CONFLICT (post_id) DO UPDATE SET
  heat = greatest(held.heat, excluded.heat) + ln(
    1 + power(2::FLOAT8, greatest(-abs(held.heat - excluded.heat), -1000))
  ) / ln(2::FLOAT8)
"""


async def add(
    connection: Connection,
    start: datetime,
    end: datetime,
    weights: Mapping[str, float],
    half_life: float,
) -> None:
    """Add what was done from `start` until before `end`, by what each type of action weighs."""
    await connection.execute(ADD, start, end, list(weights), list(weights.values()), half_life)


FORGET = """
DELETE FROM embedding.post_popularity
WHERE post_id IN (SELECT post_id FROM embedding.post_popularity LIMIT $1::BIGINT)
"""


async def forget(connection: Connection, posts: int) -> bool:
    """Remove the heats of so many posts; return whether there were no more."""
    done = await connection.execute(FORGET, posts)
    return int(done.rpartition(" ")[2]) < posts


PRUNE_COLD = """
DELETE FROM embedding.post_popularity
WHERE post_id IN (
  SELECT post_id
  FROM embedding.post_popularity
  WHERE heat < $1::FLOAT8
  ORDER BY heat, post_id DESC
  LIMIT $2::BIGINT
)
"""

PRUNE_GONE = """
DELETE FROM embedding.post_popularity AS held
USING (
  SELECT post_id FROM embedding.post_popularity ORDER BY heat DESC, post_id LIMIT $1::BIGINT
) AS hottest
WHERE held.post_id = hottest.post_id
  AND NOT EXISTS (SELECT FROM posts WHERE posts.id = hottest.post_id)
"""


async def prune(connection: Connection, heat: float, posts: int) -> None:
    """Remove posts below a heat, and those that are gone; so many are looked at of either.

    Of those that are gone the hottest: nobody acts on them, so the others fall below by themselves.
    """
    await connection.execute(PRUNE_COLD, heat, posts)
    await connection.execute(PRUNE_GONE, posts)
