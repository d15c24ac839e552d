"""What users were shown: kept for 30 days, each answer whole or not at all."""

from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from lib.store.database import Connection


@dataclass(frozen=True)
class Impression:
    """A post that was shown at a position, from 0.

    `score` and its parts are None for feeds built elsewhere. `propensity`: only of a position given
    at random, the probability, over 0, that it got this post.
    """

    post: UUID
    position: int
    score: float | None = None
    similarity: float | None = None
    freshness: float | None = None
    popularity: float | None = None
    propensity: float | None = None


@dataclass(frozen=True)
class Showing:
    """One answer: the posts a user was shown together, each once.

    `arm`: the model_version of the vector it was ranked with, None without one.
    """

    rec_id: UUID
    user: UUID
    arm: str | None
    impressions: tuple[Impression, ...]


# More go than come, so that they never pile up.
KEEP = """
WITH expired AS (
  DELETE FROM embedding.showings WHERE rec_id = ANY (ARRAY(
    SELECT rec_id
    FROM embedding.showings
    WHERE shown_at < statement_timestamp() - INTERVAL '30 days'
    ORDER BY shown_at
    LIMIT 10
    FOR UPDATE SKIP LOCKED
  ))
),
showing AS (
  INSERT INTO embedding.showings (rec_id, user_id, arm, shown_at)
  SELECT $1::UUID, $2::UUID, $3::TEXT, statement_timestamp()
  WHERE (SELECT true FROM users WHERE users.id = $2::UUID) AND embedding.may_show($2::UUID)
  ON CONFLICT (rec_id) DO NOTHING
  RETURNING rec_id
)
INSERT INTO embedding.impressions
  (rec_id, post_id, position, score, similarity, freshness, popularity, propensity)
SELECT showing.rec_id, shown.*
FROM showing
CROSS JOIN unnest(
  $4::UUID[], $5::INTEGER[], $6::FLOAT8[], $7::FLOAT8[], $8::FLOAT8[], $9::FLOAT8[], $10::FLOAT8[]
) AS shown (post_id, position, score, similarity, freshness, popularity, propensity)
"""


async def keep(connection: Connection, showing: Showing) -> None:
    """Remember what a user was shown, now; of a rec_id that is known the first stays as it was.

    Nothing is kept of who does not exist, opted out, or was erased within the last five minutes: it
    may have been shown before. One statement, outside a transaction; up to 10 old ones go with it.
    """
    shown = showing.impressions
    # the user may go while it runs
    with suppress(asyncpg.ForeignKeyViolationError):
        await connection.execute(
            KEEP,
            showing.rec_id,
            showing.user,
            showing.arm,
            [impression.post for impression in shown],
            [impression.position for impression in shown],
            [impression.score for impression in shown],
            [impression.similarity for impression in shown],
            [impression.freshness for impression in shown],
            [impression.popularity for impression in shown],
            [impression.propensity for impression in shown],
        )


USER = """
SELECT EXISTS (SELECT FROM users WHERE users.id = $1::UUID)
"""


async def is_user(connection: Connection, user: UUID) -> bool:
    """Return whether there is such a user."""
    found: bool = await connection.fetchval(USER, user)
    return found
