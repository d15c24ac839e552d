"""What the users of an experiment were shown, and how much of it they acted on."""

from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from lib.store.database import Connection

USERS = 500
"""So many users' impressions are read at a time."""


@dataclass(frozen=True)
class Responses:
    """What n users of an experiment were shown since their first vector, in the order of `schemes`.

    `schemes`: which each was given. `shown`, `acted`: (n, 2) posts, and those acted on: first at
    places that a feed chose, then at those given at random, whose propensity is known.
    """

    schemes: list[str]
    shown: NDArray[np.int64]
    acted: NDArray[np.int64]


READ_RESPONSES = """
SELECT exposed.user_id, exposed.scheme, seen.*
FROM (
  SELECT user_id, scheme, since
  FROM embedding.exposures AS held
  WHERE experiment = $1::TEXT AND user_id >= $2::UUID
    AND NOT EXISTS (SELECT FROM embedding.erasures WHERE erasures.user_id = held.user_id)
  ORDER BY user_id
  LIMIT $3::INTEGER
) AS exposed
CROSS JOIN LATERAL (
  SELECT
    count(*) FILTER (WHERE NOT at_random) AS chosen,
    count(*) FILTER (WHERE at_random) AS random,
    count(*) FILTER (WHERE acted_on AND NOT at_random) AS chosen_acted,
    count(*) FILTER (WHERE acted_on AND at_random) AS random_acted
  FROM (
    SELECT
      propensity IS NOT NULL AS at_random,
      -- not EXISTS: that may be answered by reading all responses there are
      (
        SELECT true
        FROM embedding.responses
        WHERE responses.rec_id = impressions.rec_id AND responses.post_id = impressions.post_id
          AND action_type = ANY ($4::TEXT[])
        LIMIT 1
      ) IS NOT NULL AS acted_on
    FROM embedding.showings
    JOIN embedding.impressions USING (rec_id)
    WHERE showings.user_id = exposed.user_id AND shown_at >= exposed.since
  ) AS impression
) AS seen
ORDER BY exposed.user_id
"""


async def read_responses(
    connection: Connection, experiment: str, actions: Collection[str]
) -> AsyncIterator[Responses]:
    """Read what an experiment's users were shown, USERS at a time.

    A post counts as acted on once, if any of these types of action came from there, also where it
    was taken back. Whoever asked to be forgotten is left out.
    """
    start: UUID | None = UUID(int=0)
    while start is not None:
        rows = await connection.fetch(READ_RESPONSES, experiment, start, USERS, list(actions))
        yield Responses(
            [row["scheme"] for row in rows],
            np.array([(row["chosen"], row["random"]) for row in rows], np.int64).reshape(-1, 2),
            np.array(
                [(row["chosen_acted"], row["random_acted"]) for row in rows], np.int64
            ).reshape(-1, 2),
        )
        start = UUID(int=rows[-1]["user_id"].int + 1) if len(rows) == USERS else None
