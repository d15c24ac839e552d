"""What became of a page's users: counted, and struck off the work list."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
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
    yet, so the next run looks again. `reason`: why it failed.
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
  FROM unnest($3::UUID[], $4::TEXT[], $5::BIGINT[], $6::BIGINT[], $7::BOOLEAN[], $8::TEXT[])
    AS result (user_id, outcome, unknown_actions, unusable_posts, waiting, reason)
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
)
INSERT INTO embedding.due (user_id, reason)
SELECT user_id, 'unembedded_post' FROM result WHERE waiting
UNION ALL
SELECT user_id, 'failed' FROM failed WHERE attempts <= $9
ON CONFLICT DO NOTHING
"""

CLOSE_RUN = """
UPDATE embedding.runs SET
  progressed_at = clock_timestamp(),
  finished_at = CASE
    WHEN (SELECT page FROM embedding.run_users WHERE run_id = $1 ORDER BY page LIMIT 1) IS NULL
    THEN clock_timestamp()
  END
WHERE id = $1::UUID AND finished_at IS NULL
"""


async def close_users(
    connection: Connection, run: UUID, page: int, results: Sequence[Result]
) -> None:
    """Strike users off the work list and count what became of them, each once.

    Whoever another delivery has closed already counts nothing here; a run that was absorbed stays
    as it is. The run is finished with its last user.
    """
    async with connection.transaction():
        await connection.execute(
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
        )
        await connection.execute(CLOSE_RUN, run)
