"""A user's several interests: the directions in which what the user did lies."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import batched

import numpy as np
from numpy.typing import NDArray

from lib.embedding.clusters import NOTHING, belonging, find_clusters

CONSIDERED = 50
"""So many posts of a user, the strongest, are looked at. Of 192 planted mixtures of 100 posts 189
are recovered from so many, 190 from 64, which take half as long again, and 192 from all."""

TAME = 1e-6
"""Squares of numbers between this and its inverse neither vanish nor overflow as float32."""

STACK = 16
"""So many users' posts are parted together: their cosines fit into a processor's cache."""


@dataclass(frozen=True)
class Split:
    """What one user's interests, `limit` at most, are to be made of; `gather` finds them.

    `parts`: (m, d) the embeddings, less the mean, of the posts considered, the strongest first;
    `rows`: (m,) which of the user's posts they are; `weights`: (m,) above 0, adding up to 1. `own`:
    (d,) the user's own vector.
    """

    parts: NDArray[np.float32]
    rows: NDArray[np.intp]
    weights: NDArray[np.float64]
    own: NDArray[np.float32]
    limit: int


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


@dataclass(frozen=True)
class _Found:
    """Interests of some users: whose among the splits, share, row of the medoid, and vector."""

    places: NDArray[np.intp]
    shares: NDArray[np.float64]
    rows: NDArray[np.intp]
    vectors: NDArray[np.float32]


def interests_of(  # noqa: PLR0917 - all that there is of a user, once; names would not tell more
    vectors: NDArray[np.float32],
    places: NDArray[np.intp],
    weights: NDArray[np.float64],
    mean: NDArray[np.float64] | None,
    own: NDArray[np.float32],
    limit: int,
) -> Split:
    """Return what a user's interests are to be made of.

    `vectors`: (r, d) embeddings, among which those of the user's posts, in order of id, stand at
    `places`: (n,); `weights`: (n,) signed, one at least above 0: what pushes away takes no part,
    and of the rest the CONSIDERED strongest do. `mean`: (d,), to be taken off. `own`: (d,), the
    user's vector. `limit`: how many at most.
    """
    rows = _strongest(weights)
    parts = vectors.take(places[rows], axis=0)
    if mean is not None:
        parts -= mean.astype(np.float32)
    return Split(_scaled(parts), rows, weights[rows] / weights[rows].sum(), own, limit)


def _strongest(weights: NDArray[np.float64]) -> NDArray[np.intp]:
    """Which posts are looked at, the strongest first: (n,) -> (at most CONSIDERED,).

    Sums are rounded, each order of their parts in another way: so it is that of the weights, and
    that of the ids only where they are equal.
    """
    order = (-weights).argsort(kind="stable")[:CONSIDERED]
    return order[weights[order] > 0]


def _scaled(parts: NDArray[np.float32]) -> NDArray[np.float32]:
    """Bring the largest number to 1, or squares might overflow, or vanish."""
    if TAME**2 < np.vdot(parts, parts) < TAME**-2:
        return parts
    largest = max(parts.max(), -parts.min())
    return parts / largest if largest > 0 else parts


def gather(  # noqa: PLR0917 - all that a slice has, once; names would not tell more
    owners: NDArray[np.intp],
    starts: NDArray[np.int64],
    splits: Sequence[Split],
    posts: NDArray[np.void],
    mean: NDArray[np.float64] | None,
    dimensions: int,
) -> InterestRows:
    """Find the interests of some users, and lay them end to end; see `clusters` for what is one.

    Where there is but one, it is the user's own vector, its medoid the nearest post considered.
    `owners`: (s,) whose the splits are; `starts`: (s,) where in `posts`, (c,) of V16, the rows of
    each begin; `mean`: (d,), what was taken off.
    """
    found = [
        _Found(
            np.empty(0, np.intp),
            np.empty(0),
            np.empty(0, np.intp),
            np.empty((0, dimensions), np.float32),
        )
    ]
    long = [place for place, split in enumerate(splits) if split.limit > 1]
    for stack in batched(long, STACK):
        found += _part(np.array(stack), [splits[place] for place in stack])
    found += [_only(place, split) for place, split in enumerate(splits) if split.limit <= 1]
    places = np.concatenate([some.places for some in found])
    order = places.argsort(kind="stable")
    places = places[order]
    rows = np.concatenate([some.rows for some in found])[order]
    vectors = np.concatenate([some.vectors for some in found])[order]
    return InterestRows(
        owners[places],
        np.arange(len(places)) - np.searchsorted(places, places),
        np.concatenate([some.shares for some in found])[order],
        posts[rows + starts[places]],
        np.zeros(len(rows)) if mean is None else vectors @ mean,
        vectors,
    )


def _only(place: int, split: Split) -> _Found:
    """Take a user's own vector for the one interest there is."""
    lengths = np.sqrt(np.vecdot(split.parts, split.parts) + NOTHING)
    nearest = (split.parts @ split.own / lengths).argmax()
    return _Found(np.array([place]), np.ones(1), split.rows[[nearest]], split.own[None])


def _part(places: NDArray[np.intp], users: Sequence[Split]) -> list[_Found]:
    """Part the posts of u users, who stand at these places among the splits."""
    limit = max(user.limit for user in users)
    cosines, lengths, weights, rows = _stacked(users)
    thin = weights.astype(np.float32)
    labels = find_clusters(cosines, thin * lengths, thin, limit)
    shares = belonging(labels, weights, limit).sum(axis=2)
    belongs = belonging(labels, thin, limit)
    counts = np.count_nonzero(belongs.any(axis=2), axis=1)
    order = (-shares).argsort(axis=1, kind="stable")
    whose, rank = np.nonzero(np.arange(limit) < np.where(counts > 1, counts, 0)[:, None])
    which = order[whose, rank]
    reach = np.where(belongs > 0, belongs * lengths[:, None] @ cosines, -np.inf)
    medoids = reach.argmax(axis=2)[whose, which]
    vectors = _sums(belongs, users)[whose, which].astype(np.float64)
    vectors /= np.sqrt(np.vecdot(vectors, vectors))[:, None]
    return [
        _Found(
            places[whose],
            shares[whose, which],
            rows[whose, medoids],
            vectors.astype(np.float32),
        ),
        *(_only(int(places[one]), users[one]) for one in np.flatnonzero(counts == 1).tolist()),
    ]


def _stacked(
    users: Sequence[Split],
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float64], NDArray[np.intp]]:
    """Return the posts' cosines, (u, m, m), lengths, weights and rows, (u, m), 0 where none is."""
    most = max(len(user.rows) for user in users)
    products = np.zeros((len(users), most, most), dtype=np.float32)
    weights = np.zeros((len(users), most))
    rows = np.zeros((len(users), most), dtype=np.intp)
    for place, user in enumerate(users):
        mine = slice(len(user.rows))
        np.matmul(user.parts, user.parts.T, out=products[place, mine, mine])
        weights[place, mine], rows[place, mine] = user.weights, user.rows
    lengths = np.sqrt(products.diagonal(axis1=1, axis2=2) + NOTHING)
    products /= lengths[:, :, None]
    products /= lengths[:, None]
    return products, lengths, weights, rows


def _sums(belongs: NDArray[np.float32], users: Sequence[Split]) -> NDArray[np.float32]:
    """Sum each cluster's posts: (u, k, m) -> (u, k, d)."""
    dimensions = users[0].parts.shape[1]
    sums = np.empty((*belongs.shape[:2], dimensions), dtype=np.float32)
    for place, user in enumerate(users):
        np.matmul(belongs[place, :, : len(user.rows)], user.parts, out=sums[place])
    return sums
