"""What is needed to say why a user's vector is what it is."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from lib.store.database import Connection


@dataclass(frozen=True)
class Labelled:
    """A stored vector, (384,) float32, with what it says of how and when it was made."""

    embedding: NDArray[np.float32]
    model_version: str
    generated_at: datetime


READ_LABELLED = """
SELECT embedding, model_version, generated_at
FROM user_embeddings
WHERE user_id = $1::UUID AND embedding IS NOT NULL AND generated_at IS NOT NULL
"""


async def read_labelled(connection: Connection, user: UUID) -> Labelled | None:
    """Return the user's vector, None without one."""
    row = await connection.fetchrow(READ_LABELLED, user)
    if row is None:
        return None
    return Labelled(row["embedding"].to_numpy(), row["model_version"], row["generated_at"])


COUNT_ACTIONS = """
SELECT post_id, action_type, count(*) AS count
FROM action_log
LEFT JOIN embedding.erasures USING (user_id)
WHERE user_id = $1::UUID AND post_id = ANY ($2::UUID[])
  AND created_at >= $3::TIMESTAMPTZ - $4::INTERVAL AND created_at <= $3::TIMESTAMPTZ
  AND created_at > coalesce(erased_at, '-infinity') AND created_at <> ALL (coalesce(ahead, '{}'))
GROUP BY post_id, action_type
ORDER BY post_id, count DESC, action_type
"""


async def count_actions(
    connection: Connection,
    user: UUID,
    posts: Sequence[UUID],
    as_of: datetime,
    lookback: timedelta,
) -> dict[UUID, dict[str, int]]:
    """Count what the user did with each of the posts by then, by type, the most frequent first.

    Everything counts that the log holds, taken back or not, except for what was erased.
    """
    counts: dict[UUID, dict[str, int]] = {}
    for row in await connection.fetch(COUNT_ACTIONS, user, posts, as_of, lookback):
        counts.setdefault(row["post_id"], {})[row["action_type"]] = row["count"]
    return counts
