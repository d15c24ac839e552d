"""Actions as they come in: into the platform's log, each once, with all that follows from them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from lib.store.database import Connection


@dataclass(frozen=True)
class Action:
    """What a user did with a post.

    `created_at`: when, with its offset; now without one. `event_id`: by which it is known if it
    comes again, within seven days. `rec_id`: the answer that showed the post.
    """

    user_id: UUID
    post_id: UUID
    action_type: str
    created_at: datetime | None = None
    event_id: str | None = None
    rec_id: UUID | None = None


class Fate(StrEnum):
    """What becomes of an action: it is logged, was logged before, or is not for the log."""

    STORED = "stored"
    REPEATED = "repeated"
    NO_USER = "no_user"
    NO_POST = "no_post"
    AHEAD = "ahead"


# Erasures wait for it and it for them: none leaves the id of an action behind that came meanwhile.
# Of actions with one id the first that is for the log claims it. Rows are written in the order of
# their keys, so that two calls never wait for each other crosswise.
LOG = """
WITH turn AS MATERIALIZED (
  SELECT pg_advisory_xact_lock_shared(hashtextextended('user-embeddings erasure', 0))
),
expired AS (
  DELETE FROM embedding.events WHERE digest = ANY (ARRAY(
    SELECT digest
    FROM embedding.events
    WHERE came_at < statement_timestamp() - INTERVAL '7 days'
    ORDER BY came_at
    LIMIT 2 * cardinality($1::UUID[]) + 10
    FOR UPDATE SKIP LOCKED
  ))
),
judged AS MATERIALIZED (
  SELECT
    given.*,
    CASE
      WHEN (SELECT true FROM users WHERE users.id = given.user_id) IS NULL THEN 'no_user'
      WHEN (SELECT true FROM posts WHERE posts.id = given.post_id) IS NULL THEN 'no_post'
      WHEN given.created_at > statement_timestamp() THEN 'ahead'
    END AS refusal,
    sha256(convert_to(given.event_id, 'UTF8')) AS digest
  FROM turn
  CROSS JOIN unnest(
    $1::UUID[], $2::UUID[], $3::TEXT[], $4::TIMESTAMPTZ[], $5::TEXT[], $6::UUID[]
  ) WITH ORDINALITY
    AS given (user_id, post_id, action_type, created_at, event_id, rec_id, place)
),
first AS MATERIALIZED (
  SELECT DISTINCT ON (digest) digest, event_id, user_id, place
  FROM judged
  WHERE refusal IS NULL AND digest IS NOT NULL
  ORDER BY digest, place
),
claimed AS (
  INSERT INTO embedding.events (digest, event_id, user_id, came_at)
  SELECT digest, event_id, user_id, statement_timestamp() FROM first ORDER BY digest
  ON CONFLICT (digest) DO NOTHING
  RETURNING digest
),
accepted AS MATERIALIZED (
  SELECT judged.*, coalesce(judged.created_at, statement_timestamp()) AS acted_at
  FROM judged
  WHERE refusal IS NULL
    AND (digest IS NULL OR place IN (SELECT place FROM first JOIN claimed USING (digest)))
),
logged AS (
  INSERT INTO action_log (user_id, post_id, action_type, created_at)
  SELECT user_id, post_id, action_type, acted_at FROM accepted ORDER BY place
),
late AS (
  INSERT INTO embedding.due (user_id, reason)
  SELECT DISTINCT user_id, 'late_action' FROM accepted WHERE created_at < statement_timestamp()
  ON CONFLICT DO NOTHING
),
responses AS (
  INSERT INTO embedding.responses (rec_id, post_id, action_type, acted_at)
  SELECT rec_id, post_id, action_type, min(acted_at)
  FROM accepted
  JOIN embedding.showings USING (rec_id, user_id)
  JOIN embedding.impressions USING (rec_id, post_id)
  GROUP BY rec_id, post_id, action_type
  ORDER BY rec_id, post_id, action_type
  ON CONFLICT DO NOTHING
)
SELECT
  coalesce(
    judged.refusal, CASE WHEN accepted.place IS NULL THEN 'repeated' ELSE 'stored' END
  ) AS fate
FROM judged
LEFT JOIN accepted USING (place)
ORDER BY place
"""


async def log(connection: Connection, actions: Sequence[Action]) -> list[Fate]:
    """Log the actions that can be logged; return what became of each, all at once or nothing.

    Who acted earlier than now is due. A post's being acted on from an answer that showed it to this
    user is remembered. Raises asyncpg's ForeignKeyViolationError if a user, or what they were
    shown, goes meanwhile: another try finds it gone.
    """
    rows = await connection.fetch(
        LOG,
        [action.user_id for action in actions],
        [action.post_id for action in actions],
        [action.action_type for action in actions],
        [action.created_at for action in actions],
        [action.event_id for action in actions],
        [action.rec_id for action in actions],
    )
    return [Fate(row["fate"]) for row in rows]
