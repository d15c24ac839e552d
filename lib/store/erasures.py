"""Who asked to be forgotten, and who wants no vector at all: `embedding.erasures`."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from lib.store.database import Connection


@dataclass(frozen=True)
class Erasure:
    """What is remembered of a user's wish: nothing done up to `erased_at` counts.

    `ahead`: the times of what had been logged by then with a time to come, which counts neither.
    """

    erased_at: datetime
    ahead: tuple[datetime, ...]
    opted_out: bool


# A statement of its own: the next one's snapshot then shows what those had written who held it.
LOCK_ERASURES = """
SELECT pg_advisory_xact_lock(hashtextextended('user-embeddings erasure', 0))
"""

# `erased_at` rises with every call, whatever the clock says: it tells one erasure from the next.
# The user is due, so that the next run deletes the key in Redis whatever becomes of it until then.
ERASE = """
WITH known AS MATERIALIZED (
  SELECT erased_at, ahead, opted_out FROM embedding.erasures WHERE user_id = $1::UUID
),
moment AS MATERIALIZED (
  SELECT greatest(
    clock_timestamp(), (SELECT erased_at FROM known) + INTERVAL '1 microsecond'
  ) AS erased_at
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
events AS (
  UPDATE embedding.events SET user_id = NULL, event_id = NULL WHERE user_id = $1::UUID
),
shown AS (
  UPDATE embedding.showings SET user_id = NULL, arm = NULL WHERE user_id = $1::UUID
  RETURNING rec_id
),
impressions AS (
  DELETE FROM embedding.impressions USING shown WHERE impressions.rec_id = shown.rec_id
),
next_run AS (
  INSERT INTO embedding.due (user_id, reason) VALUES ($1::UUID, 'erased') ON CONFLICT DO NOTHING
)
INSERT INTO embedding.erasures (user_id, erased_at, ahead, opted_out)
SELECT
  $1::UUID,
  moment.erased_at,
  ARRAY(
    SELECT time FROM known CROSS JOIN unnest(known.ahead) AS time WHERE time > moment.erased_at
    UNION
    SELECT created_at::TIMESTAMPTZ
    FROM action_log
    WHERE user_id = $1::UUID AND created_at > moment.erased_at
    ORDER BY 1
  ),
  $2::BOOLEAN OR coalesce((SELECT opted_out FROM known), false)
FROM moment
ON CONFLICT (user_id) DO UPDATE SET
  erased_at = excluded.erased_at, ahead = excluded.ahead, opted_out = excluded.opted_out
RETURNING erased_at, ahead, opted_out
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
    return Erasure(row["erased_at"], tuple(row["ahead"]), row["opted_out"])


OPT_IN = """
WITH known AS MATERIALIZED (
  SELECT
    greatest(clock_timestamp(), erased_at + INTERVAL '1 microsecond') AS erased_at,
    ahead
  FROM embedding.erasures
  WHERE user_id = $1::UUID AND opted_out
),
next_run AS (
  INSERT INTO embedding.due (user_id, reason)
  SELECT $1::UUID, 'opted_in' FROM known
  ON CONFLICT DO NOTHING
)
UPDATE embedding.erasures SET
  erased_at = known.erased_at,
  ahead = ARRAY(
    SELECT time FROM unnest(known.ahead) AS time WHERE time > known.erased_at
    UNION
    SELECT created_at::TIMESTAMPTZ
    FROM action_log
    WHERE user_id = $1::UUID AND created_at > known.erased_at
    ORDER BY 1
  ),
  opted_out = false
FROM known
WHERE user_id = $1::UUID
RETURNING erasures.erased_at, erasures.ahead, erasures.opted_out
"""


async def opt_in(connection: Connection, user: UUID) -> Erasure | None:
    """Let there be vectors of this user again, of what is done from now on.

    None, and nothing is changed, for who had not opted out.
    """
    async with connection.transaction():
        await connection.execute(LOCK_ERASURES)
        row = await connection.fetchrow(OPT_IN, user)
    return Erasure(row["erased_at"], tuple(row["ahead"]), row["opted_out"]) if row else None


READ_ERASURE = """
SELECT erased_at, ahead, opted_out FROM embedding.erasures WHERE user_id = $1::UUID
"""


async def read_erasure(connection: Connection, user: UUID) -> Erasure | None:
    """Return what is remembered of the user's wish; None of who never had one."""
    row = await connection.fetchrow(READ_ERASURE, user)
    return Erasure(row["erased_at"], tuple(row["ahead"]), row["opted_out"]) if row else None
