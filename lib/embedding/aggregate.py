"""Histories and post embeddings in, one interest vector a user out."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lib.embedding.history import Histories
from lib.embedding.interests import InterestRows, Split, gather, interests_of
from lib.embedding.schemes import Scheme
from lib.errors import EmbeddingError

CANCELLED = 1e-9
"""Below this share of its parts' length a sum is rounding noise, not a direction."""

CHUNK = 1024
"""So many embeddings are gathered at a time: what a processor's cache holds."""


@dataclass(frozen=True)
class PostVectors:
    """Where the p distinct posts of some histories have their embeddings.

    `rows`: (p,) where each stands among `vectors`, (r, d); `sizes`: (p,) its length, 0 for a post
    that does not count, whose row is not looked at.
    """

    rows: NDArray[np.intp]
    vectors: NDArray[np.float32]
    sizes: NDArray[np.float64]


@dataclass(frozen=True)
class UserVectors:
    """What became of n users' histories.

    `vectors`: (n, d) float32, unit length where `made`, else zeros. `posts`: (n,) posts that draw
    near and count, `weights`: (n,) the summed weight of all. `made`: (n,) whether there is one;
    where not, the user has too few posts (`posts` < the minimum) or they cancel each other out.
    `centres`: (n,) the vectors' products with the mean, 0 without one. `interests`: of those made;
    None where the scheme keeps none.
    """

    vectors: NDArray[np.float32]
    made: NDArray[np.bool_]
    posts: NDArray[np.int64]
    weights: NDArray[np.float64]
    centres: NDArray[np.float64]
    interests: InterestRows | None


def lengths(embeddings: NDArray[np.float32]) -> NDArray[np.float64]:
    """How long each row is; 0 for what is no direction: zeros, or not finite. (p, d) -> (p,)."""
    with np.errstate(over="ignore", invalid="ignore"):
        squares = np.einsum("pd,pd->p", embeddings, embeddings, dtype=np.float64)
    return np.sqrt(np.where(np.isfinite(squares), squares, 0.0))


def weigh(histories: Histories, sizes: NDArray[np.float64], scheme: Scheme) -> NDArray[np.float64]:
    """Return what each contribution weighs in its user's sum: (c,), 0 where its post counts not.

    `sizes`: (p,) as in PostVectors. All that pushes a user away is scaled down, if it must be, to
    `negative_share` of all that draws near.
    """
    weights = np.where(sizes[histories.places] > 0, histories.weights, 0.0)
    if scheme.negatives:
        owners, users = histories.owners, len(histories.offsets) - 1
        near = np.bincount(owners, np.maximum(weights, 0.0), users)
        away = np.bincount(owners, np.maximum(-weights, 0.0), users)
        room = scheme.negative_share * near
        scale = np.divide(room, away, out=np.ones(users), where=away > room)
        weights = np.where(weights < 0, weights * scale[owners], weights)
    return weights


def aggregate(
    histories: Histories,
    posts: PostVectors,
    scheme: Scheme,
    minimum: NDArray[np.int64],
    mean: NDArray[np.float64] | None,
) -> UserVectors:
    """Sum and normalise: `u = normalise(sum_p w_p (e_p - m))`.

    `minimum`: (n,) how many posts that draw near a user's vector takes. `mean`: (d,), where the
    scheme is centred. Raises EmbeddingError where a sum is not finite.
    """
    users = len(histories.offsets) - 1
    weights, owners = weigh(histories, posts.sizes, scheme), histories.owners
    counted = np.bincount(owners[weights > 0], minlength=users).astype(np.int64)
    summed = np.bincount(owners, weights, users)
    totals = _sums(histories, posts, weights)
    sizes = np.abs(weights) * posts.sizes[histories.places]
    if mean is not None:
        totals -= summed[:, None] * mean
        sizes += np.abs(weights) * float(np.linalg.norm(mean))
    enough = (counted >= minimum) & (counted > 0)
    directions, norms = _measured(totals)
    if not np.isfinite(norms[enough]).all():
        found = norms[enough][~np.isfinite(norms[enough])][0]
        raise EmbeddingError(f"expected a finite sum, got one of length {found}")
    made = enough & (norms > CANCELLED * np.bincount(owners, sizes, users))
    vectors = np.zeros(totals.shape, dtype=np.float32)
    vectors[made] = directions[made]
    centres = np.zeros(users) if mean is None else vectors @ mean
    user_vectors = UserVectors(vectors, made, counted, summed, centres, None)
    if not scheme.interests:
        return user_vectors
    return replace(
        user_vectors,
        interests=_interests(
            replace(histories, weights=weights), posts, scheme, mean, user_vectors
        ),
    )


def _sums(
    histories: Histories, posts: PostVectors, weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Sum each user's weighted embeddings: (n, d)."""
    used = np.flatnonzero(weights)
    rows, weights = posts.rows[histories.places[used]], weights[used]
    bounds = np.searchsorted(used, histories.offsets).tolist()
    totals = np.zeros((len(bounds) - 1, posts.vectors.shape[1]))
    buffer = np.empty((CHUNK, posts.vectors.shape[1]), dtype=np.float32)
    for user in range(len(totals)):
        for first in range(bounds[user], bounds[user + 1], CHUNK):
            chunk = slice(first, min(first + CHUNK, bounds[user + 1]))
            # `mode` lets it write to `out` without a copy; no row is out of bounds
            parts = posts.vectors.take(
                rows[chunk], axis=0, out=buffer[: chunk.stop - first], mode="clip"
            )
            totals[user] += np.einsum("p,pd->d", weights[chunk], parts)
    return totals


def _measured(totals: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return each row's direction and length: (n, d) -> (n, d), (n,); not finite if the row is not.

    By the largest number first: the squares of very small ones would vanish.
    """
    largest = np.abs(totals).max(axis=1, initial=0.0)
    largest[largest == 0] = 1.0
    with np.errstate(invalid="ignore"):
        directions = totals / largest[:, None]
        norms = np.linalg.norm(directions, axis=1)
        directions /= np.maximum(norms, 1.0)[:, None]
    return directions, largest * norms


def _interests(
    histories: Histories,
    posts: PostVectors,
    scheme: Scheme,
    mean: NDArray[np.float64] | None,
    user_vectors: UserVectors,
) -> InterestRows:
    """Split each vector made into its interests: one where the history is not long."""
    owners = np.flatnonzero(user_vectors.made)
    splits: list[Split] = []
    for user in owners:
        mine = slice(histories.offsets[user], histories.offsets[user + 1])
        rows, weights = posts.rows[histories.places[mine]], histories.weights[mine]
        limit = scheme.interests if user_vectors.posts[user] >= scheme.long_history else 1
        own = user_vectors.vectors[user]
        splits.append(interests_of(posts.vectors, rows, weights, mean, own, limit))
    starts = histories.offsets[owners]
    return gather(owners, starts, splits, histories.posts, mean, posts.vectors.shape[1])
