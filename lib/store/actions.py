"""The platform's log: what a slice of users did with which posts."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from lib.embedding import RETRACTIONS, Histories, Scheme
from lib.store.database import Connection


@dataclass(frozen=True)
class Log:
    """What the log says of n users at one moment, all arrays in the order they were asked for.

    `read_at`: the database's clock as it was read. `histories`: their contributions, the strongest
    of each user. `actions`: (n,) how many actions those are; `unknown`: (n,) actions of a type that
    means nothing; `retracted`: (n,) whether there is a retraction; `exists`: (n,) whether there is
    such a user; `stored`: (n,) whether the user has a vector.
    """

    read_at: datetime
    histories: Histories
    actions: NDArray[np.int64]
    unknown: NDArray[np.int64]
    retracted: NDArray[np.bool_]
    exists: NDArray[np.bool_]
    stored: NDArray[np.bool_]


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
  CASE WHEN intricate THEN summed.contributions ELSE coalesce(plain.contributions, '') END
    AS contributions,
  CASE WHEN intricate THEN summed.actions ELSE plain.actions END AS actions,
  CASE WHEN many THEN (
    SELECT count(*)
    FROM action_log
    WHERE user_id = slice.user_id AND created_at >= statement_timestamp() - $2::INTERVAL
      AND action_type <> ALL ($8::TEXT[])
  ) ELSE plain.unknown END AS unknown,
  CASE WHEN many THEN EXISTS (
    SELECT FROM action_log
    WHERE user_id = slice.user_id AND created_at >= statement_timestamp() - $2::INTERVAL
      AND action_type = ANY ($5::TEXT[])
  ) ELSE intricate END AS retracted
FROM unnest($1::UUID[]) WITH ORDINALITY AS slice (user_id, place)
CROSS JOIN LATERAL (
  SELECT
    -- where a part is NULL, nothing is added
    string_agg(
      uuid_send(post_id) || float8send(($4::FLOAT8[])[place]) || timestamptz_send(created_at), ''
    ) AS contributions,
    count(place) AS actions,
    count(*) FILTER (WHERE place IS NULL AND action_type <> ALL ($8::TEXT[])) AS unknown,
    count(*) > least($7::BIGINT, $9::BIGINT) AS many,
    count(*) > least($7::BIGINT, $9::BIGINT)
      OR coalesce(bool_or(place IS NULL AND action_type = ANY ($5::TEXT[])), false) AS intricate
  FROM (
    SELECT post_id, action_type, created_at, array_position($3::TEXT[], action_type) AS place
    FROM action_log
    WHERE user_id = slice.user_id AND created_at >= statement_timestamp() - $2::INTERVAL
    LIMIT least($7::BIGINT, $9::BIGINT) + 1
  ) AS action
) AS plain
CROSS JOIN LATERAL (
  SELECT
    coalesce(string_agg(
      uuid_send(post_id) || float8send(weight) || timestamptz_send(acted_at), ''
    ), '') AS contributions,
    coalesce(sum(actions), 0)::BIGINT AS actions
  FROM (
    SELECT post_id, sum(weight) AS weight, max(created_at) AS acted_at, count(*) AS actions
    FROM (
      SELECT
        post_id,
        created_at,
        ($4::FLOAT8[])[place] AS weight,
        bool_or(retracts) OVER (PARTITION BY post_id, place ORDER BY created_at DESC, id DESC)
          AS retracted
      FROM (
        SELECT
          post_id,
          created_at,
          id,
          action_type = ANY ($5::TEXT[]) AS retracts,
          array_position(
            $3::TEXT[],
            coalesce(($6::TEXT[])[array_position($5::TEXT[], action_type)], action_type)
          ) AS place
        FROM action_log
        WHERE plain.intricate
          AND user_id = slice.user_id AND created_at >= statement_timestamp() - $2::INTERVAL
      ) AS action
      WHERE place IS NOT NULL
    ) AS contribution
    WHERE NOT retracted
    GROUP BY post_id
    HAVING sum(weight) <> 0
    ORDER BY
      CASE WHEN plain.many THEN abs(sum(weight)) END DESC,
      CASE WHEN plain.many THEN post_id END
    LIMIT $7::BIGINT
  ) AS strongest
) AS summed
ORDER BY slice.place
"""


async def read_log(
    connection: Connection,
    users: Sequence[UUID],
    lookback: timedelta,
    scheme: Scheme,
    max_posts: int,
) -> Log:
    """Read what the users did within the lookback, at most `max_posts` contributions a user.

    No upper bound in time: an action dated in the future counts. A retraction cancels that user's
    actions on that post before it, by (created_at, id).
    """
    rows = await connection.fetch(
        READ_LOG,
        users,
        lookback,
        list(scheme.weights),
        list(scheme.weights.values()),
        list(RETRACTIONS),
        list(RETRACTIONS.values()),
        max_posts,
        list(scheme.known_actions),
        PLAIN_ACTIONS,
    )
    packed = [row["contributions"] for row in rows]
    return Log(
        read_at=rows[0]["read_at"],
        histories=await asyncio.to_thread(Histories.unpack, packed),
        actions=np.array([row["actions"] for row in rows], dtype=np.int64),
        unknown=np.array([row["unknown"] for row in rows], dtype=np.int64),
        retracted=np.array([row["retracted"] for row in rows], dtype=np.bool_),
        exists=np.array([row["exists"] for row in rows], dtype=np.bool_),
        stored=np.array([row["stored"] for row in rows], dtype=np.bool_),
    )


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
