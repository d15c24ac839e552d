"""What became of a page's users: counted, and struck off the work list."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from uuid import UUID

from lib.store.database import Connection

ATTEMPTS = 5
"""How often a user who fails is tried again without having acted."""


class Outcome(StrEnum):
    """What became of one user."""

    PROCESSED = "processed"
    FEW_POSTS = "few_posts"
    CANCELLED_OUT = "cancelled_out"
    GONE = "gone"
    OPTED_OUT = "opted_out"
    FAILED = "failed"


@dataclass(frozen=True)
class Result:
    """One user's share in a page.

    `model_version`: as what the vector is stored; `posts`, `actions`, `weight`: what it is made of.
    `unknown_actions`, `unusable_posts`: what was passed over. `waiting`: a post has no embedding
    yet, so the next run looks again. `reason`: why it failed. `drift`: 1 - cosine of the new vector
    and the one it took the place of, where that was looked at.
    """

    user: UUID
    outcome: Outcome
    model_version: str | None = None
    posts: int = 0
    actions: int = 0
    weight: float = 0.0
    unknown_actions: int = 0
    unusable_posts: int = 0
    waiting: bool = False
    reason: str | None = None
    drift: float | None = None


DRIFT_BOUNDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
"""The buckets in which drift is counted: each up to its bound, and one for what is above all."""


# The run's row is locked before a user is struck off: whoever closes the last users of a run sees,
# in the statement after this one, what all others have closed.
CLOSE_USERS = """
WITH run AS MATERIALIZED (
  SELECT id FROM embedding.runs WHERE id = $1::UUID AND finished_at IS NULL FOR UPDATE
),
closed AS (
  DELETE FROM embedding.run_users USING run
  WHERE run_id = run.id AND page = $2::INTEGER AND user_id = ANY ($3::UUID[])
  RETURNING user_id
),
result AS (
  SELECT *
  FROM unnest(
    $3::UUID[], $4::TEXT[], $5::BIGINT[], $6::BIGINT[], $7::BOOLEAN[], $8::TEXT[], $10::TEXT[],
    $11::FLOAT8[]
  ) AS result (
    user_id, outcome, unknown_actions, unusable_posts, waiting, reason, model_version, drift
  )
  JOIN closed USING (user_id)
),
counted AS (
  INSERT INTO embedding.run_counts AS total (run_id, name, amount)
  SELECT $1, name, sum(amount)
  FROM (
    SELECT outcome AS name, 1 AS amount FROM result
    UNION ALL
    SELECT 'unknown_actions', unknown_actions FROM result
    UNION ALL
    SELECT 'unusable_posts', unusable_posts FROM result
  ) AS part
  GROUP BY name
  HAVING sum(amount) > 0
  ON CONFLICT (run_id, name) DO UPDATE SET amount = total.amount + excluded.amount
),
figured AS (
  INSERT INTO embedding.run_figures AS total (run_id, name, amount)
  SELECT run.id, name, sum(amount)
  FROM run
  CROSS JOIN (
    SELECT name, amount FROM unnest($12::TEXT[], $13::FLOAT8[]) AS noted (name, amount)
    UNION ALL
    SELECT 'vectors ' || model_version, 1 FROM result WHERE outcome = 'processed'
    UNION ALL
    SELECT 'drift ' || (SELECT count(*) FROM unnest($14::FLOAT8[]) AS bound WHERE bound < drift), 1
    FROM result
    WHERE drift IS NOT NULL
    UNION ALL
    SELECT 'drift total', drift FROM result WHERE drift IS NOT NULL
  ) AS part
  WHERE name IS NOT NULL
  GROUP BY run.id, name
  ON CONFLICT (run_id, name) DO UPDATE SET amount = total.amount + excluded.amount
),
failed AS (
  INSERT INTO embedding.failures AS known (user_id, reason, attempts, run_id, failed_at)
  SELECT user_id, reason, 1, $1, clock_timestamp() FROM result WHERE outcome = 'failed'
  ON CONFLICT (user_id) DO UPDATE SET
    reason = excluded.reason,
    attempts = known.attempts + 1,
    run_id = excluded.run_id,
    failed_at = excluded.failed_at
  RETURNING user_id, attempts
),
healed AS (
  DELETE FROM embedding.failures USING result
  WHERE failures.user_id = result.user_id AND result.outcome <> 'failed'
),
due AS (
  INSERT INTO embedding.due (user_id, reason)
  SELECT user_id, 'unembedded_post' FROM result WHERE waiting
  UNION ALL
  SELECT user_id, 'failed' FROM failed WHERE attempts <= $9
  ON CONFLICT DO NOTHING
)
SELECT count(*) FROM closed
"""

CLOSE_RUN = """
UPDATE embedding.runs SET
  progressed_at = clock_timestamp(),
  pages_done = pages_done + CASE
    WHEN $3::BIGINT > 0 AND (
      SELECT page FROM embedding.run_users WHERE run_id = $1 AND page = $2::INTEGER LIMIT 1
    ) IS NULL
    THEN 1 ELSE 0
  END,
  finished_at = CASE
    WHEN (SELECT page FROM embedding.run_users WHERE run_id = $1 ORDER BY page LIMIT 1) IS NULL
    THEN clock_timestamp()
  END
WHERE id = $1::UUID AND finished_at IS NULL
"""


NONE: Mapping[str, float] = MappingProxyType({})


async def close_users(
    connection: Connection,
    run: UUID,
    page: int,
    results: Sequence[Result],
    figures: Mapping[str, float] = NONE,
) -> None:
    """Strike users off the work list and count what became of them, each once.

    Whoever another delivery has closed already counts nothing here; a run that was absorbed stays
    as it is. The run is finished with its last user. `figures` are added to the run's as they are.
    """
    async with connection.transaction():
        closed = await connection.fetchval(
            CLOSE_USERS,
            run,
            page,
            [result.user for result in results],
            [result.outcome.value for result in results],
            [result.unknown_actions for result in results],
            [result.unusable_posts for result in results],
            [result.waiting for result in results],
            [result.reason for result in results],
            ATTEMPTS,
            [result.model_version for result in results],
            [result.drift for result in results],
            list(figures),
            list(figures.values()),
            DRIFT_BOUNDS,
        )
        await connection.execute(CLOSE_RUN, run, page, closed)
