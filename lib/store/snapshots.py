"""What a snapshot is made of: the vectors and what stands beside them, some users at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import compress
from typing import Any, Self
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from lib.embedding import DIMENSIONS
from lib.embedding.interests import InterestRows
from lib.store.database import Connection
from lib.store.means import Mean

COMPLETED = """
SELECT EXISTS (
  SELECT FROM embedding.runs WHERE id = $1::UUID AND finished_at IS NOT NULL AND NOT absorbed
)
"""


async def completed(connection: Connection, run: UUID) -> bool:
    """Whether the run has come to its end; one that was absorbed has not."""
    found: bool = await connection.fetchval(COMPLETED, run)
    return found


@dataclass(frozen=True)
class Part:
    """What is held of n users, in the order of their ids, with i interests in all.

    `vectors`: (n, 384) float32. `generated_at`, `erased_at`: n each, the latter of the last erasure
    known then. `mean_ids`: n, the mean that a vector was centred with, and `centres`: (n,) their
    product. `means`: those that `mean_ids` names.
    """

    users: Sequence[UUID]
    vectors: NDArray[np.float32]
    models: Sequence[str]
    generated_at: Sequence[datetime | None]
    erased_at: Sequence[datetime | None]
    mean_ids: Sequence[int | None]
    centres: NDArray[np.float64]
    interests: InterestRows
    means: tuple[Mean, ...]

    def only(self, chosen: NDArray[np.bool_]) -> Self:
        """Return what it holds of the chosen users, (n,)."""
        rows, owned = self.interests, chosen[self.interests.owners]
        return type(self)(
            list(compress(self.users, chosen)),
            self.vectors[chosen],
            list(compress(self.models, chosen)),
            list(compress(self.generated_at, chosen)),
            list(compress(self.erased_at, chosen)),
            list(compress(self.mean_ids, chosen)),
            self.centres[chosen],
            InterestRows(
                (np.cumsum(chosen) - 1)[rows.owners[owned]],
                rows.places[owned],
                rows.shares[owned],
                rows.medoids[owned],
                rows.centres[owned],
                rows.vectors[owned],
            ),
            self.means,
        )


# A time that is no time, as somebody else may have written, is none.
READ_VECTORS = """
SELECT held.user_id, held.embedding, held.model_version,
  CASE WHEN isfinite(held.generated_at) THEN held.generated_at END AS generated_at,
  erasures.erased_at, user_offsets.mean_id, user_offsets.centre
FROM user_embeddings AS held
LEFT JOIN embedding.erasures ON erasures.user_id = held.user_id
LEFT JOIN embedding.user_offsets ON user_offsets.user_id = held.user_id
WHERE held.user_id >= coalesce($1::UUID, '00000000-0000-0000-0000-000000000000')
  AND held.user_id IS DISTINCT FROM $1::UUID
  AND held.embedding IS NOT NULL
ORDER BY held.user_id
LIMIT $2::BIGINT
"""

READ_INTERESTS = """
SELECT user_id, place, share, medoid, centre, embedding
FROM embedding.user_interests
WHERE user_id = ANY ($1::UUID[])
ORDER BY user_id, place
"""

READ_MEANS = """
SELECT id, model, cut, count, vector
FROM embedding.means
WHERE id = ANY ($1::BIGINT[])
ORDER BY id
"""


async def read_part(connection: Connection, after: UUID | None, limit: int) -> Part:
    """Return what is held, at one moment, of the next users after this id, `limit` at most."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        held = await connection.fetch(READ_VECTORS, after, limit)
        users = [row["user_id"] for row in held]
        mean_ids = [row["mean_id"] for row in held]
        interests = await connection.fetch(READ_INTERESTS, users)
        means = await read_means(connection, {mean for mean in mean_ids if mean is not None})
    vectors = np.array([row["embedding"].to_numpy() for row in held], dtype=np.float32)
    vectors = vectors.reshape(len(held), DIMENSIONS)
    return Part(
        users,
        vectors,
        [row["model_version"] for row in held],
        [row["generated_at"] for row in held],
        [row["erased_at"] for row in held],
        mean_ids,
        np.array([row["centre"] or 0.0 for row in held], dtype=np.float64),
        _interests(users, vectors, interests),
        means,
    )


async def read_means(connection: Connection, ids: set[int]) -> tuple[Mean, ...]:
    """Return the means of these ids, in their order."""
    return tuple(
        Mean(**{**row, "vector": row["vector"].to_numpy().astype(np.float64)})
        for row in await connection.fetch(READ_MEANS, sorted(ids))
    )


def _interests(
    users: Sequence[UUID], vectors: NDArray[np.float32], rows: Sequence[Any]
) -> InterestRows:
    """Put the rows of `user_interests` side by side; where none is stored it is the user's own."""
    places = {user: place for place, user in enumerate(users)}
    owners = np.array([places[row["user_id"]] for row in rows], dtype=np.intp)
    found = vectors[owners]
    for place, row in enumerate(rows):
        if row["embedding"] is not None:
            found[place] = row["embedding"].to_numpy()
    return InterestRows(
        owners,
        np.array([row["place"] for row in rows], dtype=np.intp),
        np.array([row["share"] for row in rows], dtype=np.float64),
        np.frombuffer(b"".join(row["medoid"].bytes for row in rows), dtype="V16"),
        np.array([row["centre"] for row in rows], dtype=np.float64),
        found,
    )
