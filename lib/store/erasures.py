"""Who asked to be forgotten, and who wants no vector at all: `embedding.erasures`."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from lib.store.database import Connection


@dataclass(frozen=True)
class Erasure:
    """What is remembered of a user's wish: nothing done up to then counts.

    `last_action`: the greatest id that the user's actions had then, 0 if there were none.
    """

    erased_at: datetime
    last_action: int
    opted_out: bool


# A statement of its own: the next one's snapshot then shows what those had written who held it.
LOCK_ERASURES = """
SELECT pg_advisory_xact_lock(hashtextextended('user-embeddings erasure', 0))
"""

# `erased_at` rises with every call, whatever the clock says: it tells one erasure from the next.
# The user is due, so that the next run deletes the key in Redis whatever becomes of it until then.
ERASE = """
WITH act AS MATERIALIZED (
  SELECT id::BIGINT AS id FROM action_log WHERE user_id = $1::UUID
),
vectors AS (
  DELETE FROM user_embeddings WHERE user_id = $1::UUID
),
shadows AS (
  DELETE FROM embedding.shadow_vectors WHERE user_id = $1::UUID
),
exposed AS (
  DELETE FROM embedding.exposures WHERE user_id = $1::UUID
),
failed AS (
  DELETE FROM embedding.failures WHERE user_id = $1::UUID
),
next_run AS (
  INSERT INTO embedding.due (user_id, reason) VALUES ($1::UUID, 'erased') ON CONFLICT DO NOTHING
)
INSERT INTO embedding.erasures AS known (user_id, erased_at, last_action, opted_out)
SELECT $1::UUID, clock_timestamp(), coalesce(max(id), 0), $2::BOOLEAN FROM act
ON CONFLICT (user_id) DO UPDATE SET
  erased_at = greatest(excluded.erased_at, known.erased_at + INTERVAL '1 microsecond'),
  last_action = greatest(excluded.last_action, known.last_action),
  opted_out = known.opted_out OR excluded.opted_out
RETURNING erased_at, last_action, opted_out
"""


async def erase(connection: Connection, user: UUID) -> Erasure:
    """Remove all that was made of a user; nothing the user did up to now counts ever again.

    Waits for writers under way. The user's rows on the work list stay: whoever works them off
    deletes the key in Redis.
    """
    return await _erase(connection, user, opted_out=False)


async def opt_out(connection: Connection, user: UUID) -> Erasure:
    """Erase, and let there be no vector of this user until `opt_in`."""
    return await _erase(connection, user, opted_out=True)


async def _erase(connection: Connection, user: UUID, *, opted_out: bool) -> Erasure:
    async with connection.transaction():
        await connection.execute(LOCK_ERASURES)
        row = await connection.fetchrow(ERASE, user, opted_out)
    return Erasure(**row)


OPT_IN = """
WITH act AS MATERIALIZED (
  SELECT id::BIGINT AS id FROM action_log WHERE user_id = $1::UUID
),
allowed AS (
  UPDATE embedding.erasures AS known SET
    erased_at = greatest(clock_timestamp(), known.erased_at + INTERVAL '1 microsecond'),
    last_action = greatest((SELECT max(id) FROM act), known.last_action),
    opted_out = false
  WHERE user_id = $1::UUID AND opted_out
  RETURNING erased_at, last_action, opted_out
),
next_run AS (
  INSERT INTO embedding.due (user_id, reason)
  SELECT $1::UUID, 'opted_in' FROM allowed
  ON CONFLICT DO NOTHING
)
SELECT erased_at, last_action, opted_out FROM allowed
"""


async def opt_in(connection: Connection, user: UUID) -> Erasure | None:
    """Let there be vectors of this user again, of what is done from now on.

    None, and nothing is changed, for who had not opted out.
    """
    async with connection.transaction():
        await connection.execute(LOCK_ERASURES)
        row = await connection.fetchrow(OPT_IN, user)
    return Erasure(**row) if row else None
