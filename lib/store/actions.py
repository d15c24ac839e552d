"""The platform's log: what a slice of users did with which posts."""

import asyncio
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from lib.embedding import RETRACTIONS, Histories, Scheme
from lib.embedding.schemes import VIEW
from lib.store.database import Connection

DAY_SECONDS = 86_400
MICROSECOND = timedelta(microseconds=1)
POSTGRES_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Log:
    """What the log says of n users at one moment, all arrays in the order they were asked for.

    `read_at`: the database's clock as it was read. `records`: (n,) what each did, packed RECORDs;
    `histories`: what that comes to, the strongest contributions of each user. `actions`: (n,) how
    many actions those are; `unknown`: (n,) actions of a type that means nothing; `retracted`: (n,)
    whether there is a retraction; `exists`: (n,) whether there is such a user; `stored`: (n,)
    whether the user has a vector; `opted_out`: (n,) who wants none; `erased`: (n,) when the user
    was erased, up to when nothing counts.
    """

    read_at: datetime
    records: list[bytes]
    histories: Histories
    actions: NDArray[np.int64]
    unknown: NDArray[np.int64]
    retracted: NDArray[np.bool_]
    exists: NDArray[np.bool_]
    stored: NDArray[np.bool_]
    opted_out: NDArray[np.bool_]
    erased: list[datetime | None]


PLAIN_ACTIONS = 1000
"""Up to so many actions of a user come as they are: summing them is cheaper here than there."""

# Whoever took something back or did more than a thousand things is `intricate`, and looked at a
# second time. For all others Postgres hands out what there is: it need not sum, sort or cut off.
READ_LOG = """
SELECT
  clock_timestamp() AS read_at,
  -- not EXISTS: that may be answered by reading all users there are, once a slice
  (SELECT true FROM users WHERE users.id = slice.user_id) IS NOT NULL AS exists,
  (
    SELECT true FROM user_embeddings AS held
    WHERE held.user_id = slice.user_id AND held.embedding IS NOT NULL
  ) IS NOT NULL AS stored,
  coalesce(erased.opted_out, false) AS opted_out,
  erased.erased_at,
  CASE WHEN intricate THEN summed.contributions ELSE coalesce(plain.contributions, '') END
    AS contributions,
  CASE WHEN intricate THEN summed.actions ELSE plain.actions END AS actions,
  CASE WHEN many THEN (
    SELECT count(*)
    FROM action_log
    WHERE user_id = slice.user_id AND created_at >= since AND created_at <= until
      AND created_at <> ALL (ignored) AND action_type <> ALL ($7::TEXT[])
  ) ELSE plain.unknown END AS unknown,
  CASE WHEN many THEN EXISTS (
    SELECT FROM action_log
    WHERE user_id = slice.user_id AND created_at >= since AND created_at <= until
      AND created_at <> ALL (ignored) AND action_type = ANY ($5::TEXT[])
  ) ELSE intricate END AS retracted
FROM unnest($1::UUID[]) WITH ORDINALITY AS slice (user_id, place)
LEFT JOIN embedding.erasures AS erased ON erased.user_id = slice.user_id
CROSS JOIN LATERAL (
  SELECT
    coalesce($10::TIMESTAMPTZ, statement_timestamp()) AS now,
    CASE WHEN erased.opted_out THEN 'infinity' ELSE greatest(
      coalesce($10::TIMESTAMPTZ, statement_timestamp()) - $2::INTERVAL,
      erased.erased_at + INTERVAL '1 microsecond'
    ) END AS since,
    coalesce($10::TIMESTAMPTZ, 'infinity') AS until,
    coalesce(erased.ahead, '{}') AS ignored
) AS period
CROSS JOIN LATERAL (
  SELECT
    -- where a part is NULL, nothing is added
    string_agg(
      uuid_send(post_id) || ($4::BYTEA[])[place] || timestamptz_send(created_at), ''
    ) AS contributions,
    count(place) AS actions,
    count(*) FILTER (WHERE place IS NULL AND action_type <> ALL ($7::TEXT[])) AS unknown,
    count(*) > least($8::BIGINT, $9::BIGINT) AS many,
    count(*) > least($8::BIGINT, $9::BIGINT)
      OR coalesce(bool_or(place IS NULL AND action_type = ANY ($5::TEXT[])), false) AS intricate
  FROM (
    SELECT post_id, action_type, created_at, array_position($3::TEXT[], action_type) AS place
    FROM action_log
    WHERE user_id = slice.user_id AND created_at >= since AND created_at <= until
      AND created_at <> ALL (ignored)
    LIMIT least($8::BIGINT, $9::BIGINT) + 1
  ) AS action
) AS plain
CROSS JOIN LATERAL (
  SELECT
    coalesce(string_agg(
      uuid_send(post_id) || int2send((place - 1)::SMALLINT) || float8send(amount)
        || timestamptz_send(acted_at), ''
    ), '') AS contributions,
    coalesce(sum(actions), 0)::BIGINT AS actions
  FROM (
    SELECT
      *,
      CASE WHEN plain.many THEN
        dense_rank() OVER (ORDER BY strength DESC, post_id, place > $13::INTEGER)
      END AS rank
    FROM (
      SELECT
        post_id,
        place,
        count(*) AS actions,
        max(created_at) AS acted_at,
        -- the latest is worth most: as how many actions of its time they count
        sum(worth) FILTER (WHERE NOT repeated) / max(worth) AS amount,
        sum(sum(worth) FILTER (WHERE NOT repeated) * ($12::FLOAT8[])[place])
          OVER (PARTITION BY post_id, place > $13::INTEGER) AS strength
      FROM (
        SELECT
          post_id,
          created_at,
          place,
          -- as lib.embedding.history.decay has it
          power(0.5, least(date_part('epoch', now - least(created_at, now)) / $11::FLOAT8, 400))
            AS worth,
          bool_or(retracts) OVER earlier AS retracted,
          place IS NOT DISTINCT FROM $14::INTEGER
            AND day IS NOT DISTINCT FROM lag(day) OVER earlier AS repeated
        FROM (
          SELECT
            post_id,
            created_at,
            id,
            (least(created_at, now) AT TIME ZONE 'UTC')::DATE AS day,
            action_type = ANY ($5::TEXT[]) AS retracts,
            array_position(
              $3::TEXT[],
              coalesce(($6::TEXT[])[array_position($5::TEXT[], action_type)], action_type)
            ) AS place
          FROM action_log
          WHERE plain.intricate AND user_id = slice.user_id
            AND created_at >= since AND created_at <= until
      AND created_at <> ALL (ignored)
        ) AS action
        WHERE place IS NOT NULL
        WINDOW earlier AS (PARTITION BY post_id, place ORDER BY created_at DESC, id DESC)
      ) AS contribution
      WHERE NOT retracted
      GROUP BY post_id, place
    ) AS part
  ) AS ranked
  WHERE rank IS NULL OR rank <= $8::BIGINT
) AS summed
ORDER BY slice.place
"""


async def read_log(
    connection: Connection,
    users: Sequence[UUID],
    lookback: timedelta,
    scheme: Scheme,
    max_posts: int,
    *,
    as_of: datetime | None = None,
) -> Log:
    """Read what the users did within the lookback, at most `max_posts` contributions a user.

    No upper bound in time: an action dated in the future counts. A retraction cancels that user's
    actions on that post before it, by (created_at, id). Nothing up to a user's erasure counts.
    With `as_of`, what the log now says of the time until then.
    """
    rows = await connection.fetch(
        READ_LOG,
        users,
        lookback,
        list(scheme.actions),
        [struct.pack(">hd", place, 1.0) for place in range(len(scheme.actions))],
        list(RETRACTIONS),
        list(RETRACTIONS.values()),
        list(scheme.known_actions),
        max_posts,
        PLAIN_ACTIONS,
        as_of,
        scheme.half_life * DAY_SECONDS,
        [*scheme.weights.values(), *scheme.negatives.values()],
        len(scheme.weights),
        scheme.actions.index(VIEW) + 1 if scheme.daily_views else None,
    )
    packed = [row["contributions"] for row in rows]
    read_at = rows[0]["read_at"]
    return Log(
        read_at=read_at,
        records=packed,
        histories=await asyncio.to_thread(
            Histories.unpack, packed, scheme, microseconds(as_of or read_at)
        ),
        actions=np.array([row["actions"] for row in rows], dtype=np.int64),
        unknown=np.array([row["unknown"] for row in rows], dtype=np.int64),
        retracted=np.array([row["retracted"] for row in rows], dtype=np.bool_),
        exists=np.array([row["exists"] for row in rows], dtype=np.bool_),
        stored=np.array([row["stored"] for row in rows], dtype=np.bool_),
        opted_out=np.array([row["opted_out"] for row in rows], dtype=np.bool_),
        erased=[row["erased_at"] for row in rows],
    )


def microseconds(time: datetime) -> int:
    """Return a time as Postgres sends it: in microseconds since 2000."""
    return (time - POSTGRES_EPOCH) // MICROSECOND


ACTIVE_USERS = """
SELECT user_id FROM (
  SELECT user_id FROM action_log WHERE created_at >= $1::TIMESTAMPTZ
  UNION
  SELECT user_id FROM embedding.due
) AS active
ORDER BY user_id
LIMIT $2
"""


async def active_users(connection: Connection, since: datetime, limit: int) -> list[UUID]:
    """Return the first `limit` users, by id, who acted since then or are due for another reason."""
    rows = await connection.fetch(ACTIVE_USERS, since, limit)
    return [row["user_id"] for row in rows]
