"""A sample of whole users' actions, and what the log holds in all."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from evaluation.live.session import Session

BUCKETS = 1024
TYPES = 100

# One reading of the log and no sorting of it: the groups alone are sorted.
OVERVIEW = """
SELECT action_type, bucket, count(*) AS actions, count(*) FILTER (WHERE future) AS future
FROM (
  SELECT
    coalesce(action_type, '') AS action_type,
    uuid_hash_extended(user_id, 0) & 1023 AS bucket,
    created_at > now() AS future
  FROM action_log
  WHERE created_at >= $1::TIMESTAMPTZ AND user_id IS NOT NULL AND post_id IS NOT NULL
) AS action
GROUP BY GROUPING SETS ((action_type), (bucket))
ORDER BY bucket NULLS LAST, actions DESC, action_type
LIMIT $2
"""

# Sorted is the sample alone.
ACTIONS = """
SELECT string_agg(
  uuid_send(user_id) || uuid_send(post_id) || timestamptz_send(created_at) || int2send(place), ''
)
FROM (
  SELECT
    user_id,
    post_id,
    created_at,
    (coalesce(array_position($4::TEXT[], coalesce(action_type, '')), 0) - 1)::SMALLINT AS place
  FROM action_log
  WHERE created_at >= $1::TIMESTAMPTZ
    AND uuid_hash_extended(user_id, 0) & 1023 BETWEEN $2::BIGINT AND $3::BIGINT
    AND post_id IS NOT NULL
  ORDER BY created_at, id
) AS action
"""

RECORD = np.dtype([("user", "V16"), ("post", "V16"), ("at", ">i8"), ("kind", ">i2")])
"""`kind`: a place among the overview's types, -1 for none of these."""


@dataclass(frozen=True)
class Overview:
    """All actions since some time: by type, the most frequent TYPES of them, and by bucket.

    `actions`: in all; `future`: those dated later than now; `buckets`: (BUCKETS,) actions of the
    users whose ids' hashes fall into each.
    """

    types: Mapping[str, int]
    actions: int
    future: int
    buckets: NDArray[np.int64]

    def fitting(self, most: int) -> range:
        """Return the first run of buckets that together hold at most so many actions.

        A bucket that holds more alone is passed over. Empty where each does.
        """
        room = np.flatnonzero(self.buckets <= most)
        if not len(room):
            return range(0)
        first = int(room[0])
        reach = np.searchsorted(np.cumsum(self.buckets[first:]), most, side="right")
        return range(first, first + int(reach))


async def overview(session: Session, since: datetime) -> Overview:
    """Count the log's actions since then; an action without user or post is none."""
    rows = await session.fetch("action_log", OVERVIEW, since, BUCKETS + TYPES)
    buckets = np.zeros(BUCKETS, np.int64)
    future = 0
    for row in rows:
        if row["bucket"] is not None:
            buckets[row["bucket"]] = row["actions"]
            future += row["future"]
    kinds = [row for row in rows if row["bucket"] is None][:TYPES]
    types = {row["action_type"]: row["actions"] for row in kinds}
    return Overview(types, int(buckets.sum()), future, buckets)


async def read_actions(
    session: Session, since: datetime, buckets: range, types: list[str]
) -> NDArray[np.void]:
    """Read all that the users of these buckets did since then: (a,) of RECORD, oldest first."""
    packed = await session.value(
        "a sample of action_log", ACTIONS, since, buckets.start, buckets.stop - 1, types
    )
    return np.frombuffer(packed or b"", RECORD)
