"""What a user likes, as far as it is known: the vector, or the several interests."""

from dataclasses import dataclass
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from lib.embedding import DIMENSIONS
from lib.store.database import Connection


@dataclass(frozen=True)
class Taste:
    """One user's, k directions of it, each with what its product with a post is to be lessened by.

    `exists`: whether there is such a user; `posts`: how many the user has done something to.
    `model_version`: of the vector, None without one. `vectors`: (k, 384) float32, those of the
    interests, strongest first, or the user's own; `centres`: (k,); `split`: whether they are
    interests. `mean`: (384,), what was taken off.
    """

    exists: bool
    posts: int
    model_version: str | None
    vectors: NDArray[np.float32]
    centres: NDArray[np.float64]
    split: bool
    mean: NDArray[np.float64] | None


NO_VECTORS = np.empty((0, DIMENSIONS), dtype=np.float32)

MOST_INTERESTS = 16

# Whoever opted out has no vector, and if there still is one it must not be used.
READ_TASTE = """
SELECT
  (SELECT true FROM users WHERE users.id = asked.user_id) IS NOT NULL AS exists,
  (
    SELECT count(*)
    FROM (SELECT DISTINCT post_id FROM action_log WHERE user_id = asked.user_id) AS acted
  ) AS posts,
  held.model_version,
  held.embedding,
  coalesce(user_offsets.centre, 0) AS centre,
  means.vector AS mean,
  ARRAY(
    SELECT embedding
    FROM embedding.user_interests
    WHERE user_id = held.user_id
    ORDER BY place
    LIMIT $2::BIGINT
  ) AS interests,
  ARRAY(
    SELECT centre
    FROM embedding.user_interests
    WHERE user_id = held.user_id
    ORDER BY place
    LIMIT $2::BIGINT
  ) AS centres
FROM (SELECT $1::UUID AS user_id) AS asked
LEFT JOIN user_embeddings AS held
  ON held.user_id = asked.user_id AND held.embedding IS NOT NULL
    AND NOT EXISTS (
      SELECT FROM embedding.erasures WHERE erasures.user_id = asked.user_id AND opted_out
    )
LEFT JOIN embedding.user_offsets ON user_offsets.user_id = held.user_id
LEFT JOIN embedding.means ON means.id = user_offsets.mean_id
"""


async def read_taste(connection: Connection, user: UUID) -> Taste:
    """Return what the user likes, in one statement: nothing comes in between."""
    row = await connection.fetchrow(READ_TASTE, user, MOST_INTERESTS)
    if row["embedding"] is None:
        return Taste(
            row["exists"], row["posts"], None, NO_VECTORS, np.empty(0), split=False, mean=None
        )
    own, interests = row["embedding"], row["interests"]
    # an only interest is the user's own vector, and stored as none
    vectors = [interest or own for interest in interests] or [own]
    return Taste(
        row["exists"],
        row["posts"],
        row["model_version"],
        np.stack([vector.to_numpy() for vector in vectors]),
        np.array(row["centres"] or [row["centre"]]),
        split=bool(interests),
        mean=row["mean"] and row["mean"].to_numpy().astype(np.float64),
    )
