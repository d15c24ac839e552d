"""Why a user's vector is what it is: what each post contributed."""

from dataclasses import dataclass
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from lib.embedding.aggregate import CANCELLED, PostVectors
from lib.embedding.history import DAY, Histories
from lib.errors import EmbeddingError


@dataclass(frozen=True)
class Contribution:
    """What one post did to a vector.

    `weight`: below 0 where it pushes away; a post that does both counts what is left. `share`: of
    the vector's length, all posts' adding up to 1; below 0 for a post that lies on the other side.
    `age_days`: of the latest action, 0 for one that is yet to come.
    """

    post: UUID
    weight: float
    share: float
    age_days: float


@dataclass(frozen=True)
class Explanation:
    """A vector, (d,) float64 of unit length, and what of it came from where.

    `length`: of the sum before it was normalised: a post's embedding, less the mean, times its
    weight and divided by that is what it added. `posts`: how many contributed; `contributions`:
    the strongest of them, by the size of their share, then by id.
    """

    vector: NDArray[np.float64]
    length: float
    posts: int
    contributions: tuple[Contribution, ...]


def explain(
    histories: Histories,
    weights: NDArray[np.float64],
    posts: PostVectors,
    mean: NDArray[np.float64] | None,
    read_at: int,
    *,
    limit: int = 10,
) -> Explanation:
    """Take one user's vector apart, into the `limit` posts that did most for it.

    `histories`: of that user alone; `weights`: (c,) as `weigh` returns them; `mean`: (d,), where it
    is taken off; `read_at`: in microseconds since 2000. Raises EmbeddingError where the
    contributions cancel each other out.
    """
    used = np.flatnonzero(weights)
    distinct, places = np.unique(histories.places[used], return_inverse=True)
    net = np.bincount(places, weights[used], len(distinct))
    acted_at = np.full(len(distinct), np.iinfo(np.int64).min)
    np.maximum.at(acted_at, places, histories.acted_at[used])
    parts = posts.vectors[posts.rows[distinct]].astype(np.float64)
    if mean is not None:
        parts -= mean
    total = net @ parts
    length = float(np.linalg.norm(total))
    if not length > CANCELLED * float(np.abs(net) @ np.linalg.norm(parts, axis=1)):
        raise EmbeddingError(f"expected posts that add up to a direction, got {len(distinct)}")
    vector = total / length
    shares = net * (parts @ vector) / length
    ages = np.maximum(read_at - acted_at, 0) / DAY
    # the posts are in order of id, and what is equal but for rounding stays so
    strongest = (-np.abs(shares).round(12)).argsort(kind="stable")[:limit]
    ids = histories.distinct_posts[distinct[strongest]]
    return Explanation(
        vector,
        length,
        len(distinct),
        tuple(
            Contribution(UUID(bytes=post.tobytes()), *map(float, row))
            for post, *row in zip(
                ids, net[strongest], shares[strongest], ages[strongest], strict=True
            )
        ),
    )
