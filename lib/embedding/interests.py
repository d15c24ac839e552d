"""A user's several interests: the directions in which what the user did lies."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lib.embedding.clusters import find_clusters

CONSIDERED = 128
"""So many posts of a user, the strongest, are looked at."""

TAME = 1e-6
"""Squares of numbers between this and its inverse neither vanish nor overflow as float32."""


@dataclass(frozen=True)
class Split:
    """One user's k interests, strongest first.

    `vectors`: (k, d) float32 of unit length; `shares`: (k,) of the user's weight, adding up to 1;
    `medoids`: (k,) the row of the post nearest to each, by cosine, of those that belong to it.
    """

    vectors: NDArray[np.float32]
    shares: NDArray[np.float64]
    medoids: NDArray[np.intp]


@dataclass(frozen=True)
class InterestRows:
    """The interests of a slice of users, i in all, user by user and strongest first.

    `owners`: (i,) whose each is; `places`: (i,) from 0 for each user's strongest; `shares`: (i,);
    `medoids`: (i,) V16, the posts nearest to them; `centres`: (i,) the vectors' products with the
    mean, 0 without one; `vectors`: (i, d) float32 of unit length.
    """

    owners: NDArray[np.intp]
    places: NDArray[np.intp]
    shares: NDArray[np.float64]
    medoids: NDArray[np.void]
    centres: NDArray[np.float64]
    vectors: NDArray[np.float32]


def gather(  # noqa: PLR0917 - all that a slice has, once; names would not tell more
    owners: NDArray[np.intp],
    starts: NDArray[np.int64],
    splits: Sequence[Split],
    posts: NDArray[np.void],
    mean: NDArray[np.float64] | None,
    dimensions: int,
) -> InterestRows:
    """Lay the interests of some users end to end.

    `owners`: (s,) whose the splits are; `starts`: (s,) where in `posts`, (c,) of V16, the rows of
    each begin; `mean`: (d,), what was taken off.
    """
    counts = np.fromiter((len(split.shares) for split in splits), np.intp, len(splits))
    ends = np.cumsum(counts)
    vectors = np.concatenate([np.empty((0, dimensions), np.float32), *(s.vectors for s in splits)])
    rows = np.concatenate([np.empty(0, np.intp), *(split.medoids for split in splits)])
    return InterestRows(
        np.repeat(owners, counts),
        np.arange(len(rows)) - np.repeat(ends - counts, counts),
        np.concatenate([np.empty(0), *(split.shares for split in splits)]),
        posts[rows + np.repeat(starts, counts)],
        np.zeros(len(rows)) if mean is None else vectors @ mean,
        vectors,
    )


def interests_of(
    parts: NDArray[np.float32],
    weights: NDArray[np.float64],
    mean: NDArray[np.float64] | None,
    own: NDArray[np.float32],
    limit: int,
) -> Split:
    """Return up to `limit` interests of a user, or one: the user's `own` vector, (d,).

    `parts`: (n, d) the embeddings of the user's posts, in order of id; `weights`: (n,) signed, one
    at least above 0; what pushes away takes no part. `mean`: (d,), to be taken off.
    """
    near = np.flatnonzero(weights > 0)
    parts = parts[near]
    if mean is not None:
        parts -= mean.astype(np.float32)
    if limit > 1:
        split = find_interests(parts, weights[near], limit)
        if len(split.shares) > 1:
            return Split(split.vectors, split.shares, near[split.medoids])
    return Split(own[None], np.ones(1), near[[_cosines(_scaled(parts), own).argmax()]])


def find_interests(parts: NDArray[np.float32], weights: NDArray[np.float64], limit: int) -> Split:
    """Part a user's posts by the directions they lie in; see `clusters` for what is one.

    `parts`: (n, d) the posts' vectors with the mean taken off, in order of id; `weights`: (n,)
    above 0. The CONSIDERED strongest are looked at. Where they
    cancel out there is one of zeros.
    """
    chosen = _strongest(weights)
    parts = _scaled(parts[chosen])
    weights = weights[chosen] / weights[chosen].sum()
    labels = find_clusters(parts @ parts.T, weights.astype(np.float32), limit)
    belongs = labels == np.arange(labels.max() + 1)[:, None]
    shares = belongs @ weights
    order = (-shares).argsort(kind="stable")
    belongs, shares = belongs[order], shares[order]
    sums = ((belongs * weights).astype(np.float32) @ parts).astype(np.float64)
    lengths = np.linalg.norm(sums, axis=1)[:, None]
    vectors = (sums / np.where(lengths > 0, lengths, 1)).astype(np.float32)
    nearest = np.where(belongs, _cosines(parts, vectors.T).T, -np.inf).argmax(axis=1)
    return Split(vectors, shares, chosen[nearest])


def _strongest(weights: NDArray[np.float64]) -> NDArray[np.intp]:
    """Which posts are looked at, in their order: (n,) -> (at most CONSIDERED,)."""
    if len(weights) <= CONSIDERED:
        return np.arange(len(weights))
    return np.sort((-weights).argsort(kind="stable")[:CONSIDERED])


def _scaled(parts: NDArray[np.float32]) -> NDArray[np.float32]:
    """Bring the largest number to 1, or squares might overflow, or vanish."""
    largest = max(parts.max(), -parts.min())
    return parts if largest == 0 or TAME < largest < 1 / TAME else parts / largest


def _cosines(parts: NDArray[np.float32], vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """How near the parts, (n, d), are to vectors of unit length, (d,) or (d, k): (n,) or (n, k)."""
    lengths = np.sqrt(np.vecdot(parts, parts))
    lengths[lengths == 0] = 1
    cosines: NDArray[np.float32] = ((parts @ vectors).T / lengths).T
    return cosines
