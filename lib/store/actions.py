"""The platform's log: what a slice of users did with which posts."""

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


READ_LOG = """
SELECT
  clock_timestamp() AS read_at,
  EXISTS (SELECT FROM users WHERE users.id = slice.user_id) AS exists,
  EXISTS (
    SELECT FROM user_embeddings AS held
    WHERE held.user_id = slice.user_id AND held.embedding IS NOT NULL
  ) AS stored,
  log.*
FROM unnest($1::UUID[]) WITH ORDINALITY AS slice (user_id, place)
CROSS JOIN LATERAL (
  WITH action AS MATERIALIZED (
    SELECT post_id, action_type, created_at, id
    FROM action_log
    WHERE user_id = slice.user_id AND created_at >= statement_timestamp() - $2::INTERVAL
  ),
  retraction AS MATERIALIZED (
    SELECT DISTINCT ON (post_id, retracts.action_type)
      post_id, retracts.action_type, created_at, id
    FROM action
    JOIN unnest($5::TEXT[], $6::TEXT[]) AS retracts (retraction_type, action_type)
      ON retracts.retraction_type = action.action_type
    ORDER BY post_id, retracts.action_type, created_at DESC, id DESC
  ),
  contribution AS (
    SELECT post_id, sum(weight) AS weight, max(created_at) AS acted_at, count(*) AS actions
    FROM action
    JOIN unnest($3::TEXT[], $4::FLOAT8[]) AS scheme (action_type, weight) USING (action_type)
    WHERE NOT EXISTS (
      SELECT FROM retraction
      WHERE retraction.post_id = action.post_id
        AND retraction.action_type = action.action_type
        AND (retraction.created_at, retraction.id) > (action.created_at, action.id)
    )
    GROUP BY post_id
  ),
  strongest AS MATERIALIZED (
    SELECT *
    FROM contribution
    WHERE weight <> 0
    ORDER BY abs(weight) DESC, post_id
    LIMIT $7
  )
  SELECT
    coalesce(string_agg(
      uuid_send(post_id) || float8send(weight) || timestamptz_send(acted_at), ''
    ), '') AS contributions,
    coalesce(sum(actions), 0)::BIGINT AS actions,
    (SELECT count(*) FROM action WHERE action_type <> ALL ($8::TEXT[])) AS unknown,
    EXISTS (SELECT FROM retraction) AS retracted
  FROM strongest
) AS log
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
    )
    return Log(
        read_at=rows[0]["read_at"],
        histories=Histories.unpack([row["contributions"] for row in rows]),
        actions=np.array([row["actions"] for row in rows], dtype=np.int64),
        unknown=np.array([row["unknown"] for row in rows], dtype=np.int64),
        retracted=np.array([row["retracted"] for row in rows], dtype=np.bool_),
        exists=np.array([row["exists"] for row in rows], dtype=np.bool_),
        stored=np.array([row["stored"] for row in rows], dtype=np.bool_),
    )


ACTIVE_USERS = """
SELECT user_id FROM (
  SELECT user_id FROM action_log WHERE created_at >= $1
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
