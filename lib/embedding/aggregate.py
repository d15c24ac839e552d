"""Histories and post embeddings in, one interest vector a user out."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lib.embedding.history import Histories
from lib.errors import EmbeddingError

CANCELLED = 1e-9
"""Below this share of its parts' length a sum is rounding noise, not a direction."""


@dataclass(frozen=True)
class Interests:
    """What became of n users' histories.

    `vectors`: (n, d) float32, unit length where `made`, else zeros. `posts`: (n,) posts that count,
    `weights`: (n,) their summed weight. `made`: (n,) whether there is a vector; where not, the user
    has too few posts (`posts` < the minimum) or they cancel each other out.
    """

    vectors: NDArray[np.float32]
    made: NDArray[np.bool_]
    posts: NDArray[np.int64]
    weights: NDArray[np.float64]


def usable(embeddings: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which rows are directions: finite and not zero. (p, d) -> (p,)."""
    with np.errstate(over="ignore", invalid="ignore"):
        squares = np.einsum("pd,pd->p", embeddings, embeddings, dtype=np.float64)
    directions: NDArray[np.bool_] = np.isfinite(squares) & (squares > 0)
    return directions


def aggregate(
    histories: Histories,
    embeddings: NDArray[np.float32],
    counts: NDArray[np.bool_],
    minimum: NDArray[np.int64],
) -> Interests:
    """Sum each user's posts by weight and normalise: `u = normalise(sum_p w_p e_p)`.

    `embeddings`: (p, d) in the order of `histories.distinct_posts`; `counts`: (p,) which of them
    count; `minimum`: (n,) how many posts of positive weight a user's vector takes. Raises
    EmbeddingError where a sum is not finite.
    """
    users = len(histories.offsets) - 1
    vectors = np.zeros((users, embeddings.shape[1]), dtype=np.float32)
    made = np.zeros(users, dtype=np.bool_)
    posts = np.zeros(users, dtype=np.int64)
    weights = np.zeros(users, dtype=np.float64)
    for user in range(users):
        mine = slice(histories.offsets[user], histories.offsets[user + 1])
        places, weight = histories.places[mine], histories.weights[mine]
        kept = counts[places]
        places, weight = places[kept], weight[kept]
        posts[user] = np.count_nonzero(weight > 0)
        weights[user] = weight.sum()
        if posts[user] < minimum[user] or posts[user] == 0:
            continue
        parts = embeddings[places].astype(np.float64)
        total = weight @ parts
        length = np.linalg.norm(total)
        if not np.isfinite(length):
            raise EmbeddingError(f"expected a finite sum, got one of length {length}")
        if length > CANCELLED * (np.abs(weight) @ np.linalg.norm(parts, axis=1)):
            vectors[user] = total / length
            made[user] = True
    return Interests(vectors, made, posts, weights)
