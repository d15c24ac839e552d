"""Which scheme an experiment gave whom, and what they did before and after."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from lib.embedding import RETRACTIONS
from lib.store.database import Connection

USERS = 5000
"""So many users' outcomes are read at a time."""

RECORD = """
INSERT INTO embedding.exposures (experiment, user_id, scheme, since)
SELECT $1::TEXT, user_id, $3::TEXT, $4::TIMESTAMPTZ
FROM unnest($2::UUID[]) AS exposed (user_id)
-- not EXISTS: that may be answered by reading all users there are
WHERE (SELECT true FROM users WHERE users.id = exposed.user_id)
ORDER BY user_id
ON CONFLICT (experiment, user_id) DO NOTHING
"""


async def record(
    connection: Connection, experiment: str, users: Sequence[UUID], scheme: str, since: datetime
) -> None:
    """Remember since when users have had a vector of the scheme; what is known already stays.

    Of users who exist. In the transaction that wrote the vectors, so that neither is without the
    other; in the order of the users' ids, so that two writers never wait for each other crosswise.
    """
    if users:
        await connection.execute(RECORD, experiment, users, scheme, since)


@dataclass(frozen=True)
class Outcomes:
    """What n users of an experiment did, all arrays in the order of `schemes`.

    `schemes`: which each was given. `over`: (n,) whether the user's days are over. `before`,
    `after`: (n,) the sum of the actions' weights in the days before and after; 0 unless `over`.
    """

    schemes: list[str]
    over: NDArray[np.bool_]
    before: NDArray[np.float64]
    after: NDArray[np.float64]


# Each of the two periods is looked at by itself: what was done before must come to the same
# whatever the arm made users take back after.
READ_OUTCOMES = """
SELECT exposed.user_id, exposed.scheme, exposed.over, done.before, done.after
FROM (
  SELECT user_id, scheme, since, since + $4::INTERVAL <= statement_timestamp() AS over
  FROM embedding.exposures AS held
  WHERE experiment = $1::TEXT AND user_id >= $2::UUID
    AND NOT EXISTS (SELECT FROM embedding.erasures WHERE erasures.user_id = held.user_id)
  ORDER BY user_id
  LIMIT $3::INTEGER
) AS exposed
CROSS JOIN LATERAL (
  SELECT
    coalesce(sum(weight) FILTER (WHERE NOT later), 0) AS before,
    coalesce(sum(weight) FILTER (WHERE later), 0) AS after
  FROM (
    SELECT
      later,
      ($6::FLOAT8[])[place] AS weight,
      bool_or(retracts) OVER (
        PARTITION BY later, post_id, place ORDER BY created_at DESC, id DESC
      ) AS retracted
    FROM (
      SELECT
        post_id,
        created_at,
        id,
        created_at >= exposed.since AS later,
        action_type = ANY ($7::TEXT[]) AS retracts,
        array_position(
          $5::TEXT[],
          coalesce(($8::TEXT[])[array_position($7::TEXT[], action_type)], action_type)
        ) AS place
      FROM action_log
      WHERE exposed.over
        AND user_id = exposed.user_id
        AND created_at >= exposed.since - $4::INTERVAL
        AND created_at < exposed.since + $4::INTERVAL
    ) AS action
    WHERE place IS NOT NULL
  ) AS contribution
  WHERE NOT retracted
) AS done
ORDER BY exposed.user_id
"""


async def read_outcomes(
    connection: Connection, experiment: str, weights: Mapping[str, float], days: int
) -> AsyncIterator[Outcomes]:
    """Read what an experiment's users did, USERS at a time.

    An action counts by its type's weight, and none at all if, within the same days before or after,
    the user took it back later. Whoever asked to be forgotten is left out.
    """
    start: UUID | None = UUID(int=0)
    while start is not None:
        rows = await connection.fetch(
            READ_OUTCOMES,
            experiment,
            start,
            USERS,
            timedelta(days=days),
            list(weights),
            list(weights.values()),
            list(RETRACTIONS),
            list(RETRACTIONS.values()),
        )
        yield Outcomes(
            [row["scheme"] for row in rows],
            np.array([row["over"] for row in rows], dtype=np.bool_),
            np.array([row["before"] for row in rows], dtype=np.float64),
            np.array([row["after"] for row in rows], dtype=np.float64),
        )
        start = UUID(int=rows[-1]["user_id"].int + 1) if len(rows) == USERS else None
