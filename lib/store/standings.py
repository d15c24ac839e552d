"""How one user stands: whether there is a vector, how it was made, and else why there is none."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from lib.store.database import Connection


@dataclass(frozen=True)
class Interest:
    """One of several interests: its place, its share of all, and the post nearest to it."""

    place: int
    share: float
    medoid: UUID


@dataclass(frozen=True)
class Held:
    """The vector that a user has, (384,) float32, and what is beside it, strongest first."""

    embedding: NDArray[np.float32]
    model_version: str
    generated_at: datetime | None
    updated_at: datetime | None
    interests: tuple[Interest, ...]


@dataclass(frozen=True)
class Standing:
    """What there is of a user at one moment.

    `exists`: whether there is such a user; `erased_at`: when they were erased last; `opted_out`:
    whether they want no vector.
    """

    user: UUID
    exists: bool
    erased_at: datetime | None
    opted_out: bool
    vector: Held | None

    @property
    def reason(self) -> str:
        """Why a user without a vector has none: `no such user`, `opted out`, `not enough yet`."""
        if not self.exists:
            return "no such user"
        return "opted out" if self.opted_out else "not enough yet"


READ_STANDING = """
SELECT
  (SELECT true FROM users WHERE users.id = asked.user_id) IS NOT NULL AS exists,
  erasures.erased_at,
  coalesce(erasures.opted_out, false) AS opted_out,
  held.embedding,
  held.model_version,
  held.generated_at,
  held.updated_at,
  ARRAY(
    SELECT place FROM embedding.user_interests WHERE user_id = asked.user_id ORDER BY place
  ) AS places,
  ARRAY(
    SELECT share FROM embedding.user_interests WHERE user_id = asked.user_id ORDER BY place
  ) AS shares,
  ARRAY(
    SELECT medoid FROM embedding.user_interests WHERE user_id = asked.user_id ORDER BY place
  ) AS medoids
FROM (SELECT $1::UUID AS user_id) AS asked
LEFT JOIN embedding.erasures ON erasures.user_id = asked.user_id
LEFT JOIN user_embeddings AS held
  ON held.user_id = asked.user_id AND held.embedding IS NOT NULL
"""


async def read_standing(connection: Connection, user: UUID) -> Standing:
    """Return how the user stands, in one statement: nothing comes in between."""
    row = await connection.fetchrow(READ_STANDING, user)
    interests = zip(row["places"], row["shares"], row["medoids"], strict=True)
    held = row["embedding"] and Held(
        row["embedding"].to_numpy(),
        row["model_version"],
        row["generated_at"],
        row["updated_at"],
        tuple(Interest(*interest) for interest in interests),
    )
    return Standing(user, row["exists"], row["erased_at"], row["opted_out"], held)
