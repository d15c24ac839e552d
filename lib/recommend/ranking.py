"""Candidates in, an answer's posts out: scores, variety, chance."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from lib.embedding.diversity import diversify
from lib.embedding.exploration import explore
from lib.embedding.heat import DAY, weights_at
from lib.embedding.ranking import Blend, Scores, popularity
from lib.store.candidates import Candidates
from lib.store.tastes import Taste


@dataclass(frozen=True)
class Recommended:
    """A post at its position, from 0.

    `similarity`, `freshness`, `popularity` add up to `score`. `interest`: the place of the one that
    the post is nearest to, None where the user has none. `propensity`: of a position given at
    random, the probability, over 0, that it got this post; see `explore`.
    """

    post: UUID
    position: int
    score: float
    similarity: float
    freshness: float
    popularity: float
    interest: int | None
    propensity: float | None


def rank(
    taste: Taste,
    found: Candidates,
    blend: Blend,
    *,
    limit: int,
    diversity: float,
    explored: float,
    seed: UUID,
) -> Sequence[Recommended]:
    """Return the best of the candidates, `limit` of them if there are so many.

    By their scores, made various by `diversity`, each position by chance with the probability
    `explored`. The same for the same candidates, taste and seed; ties go by id.
    """
    if not found.posts:
        return ()
    nearest, similarities = _similarities(taste, found)
    scores = Scores.of(
        similarities,
        np.array([(found.read_at - created) / DAY for created in found.created]),
        popularity(
            weights_at(found.heats, found.read_at, found.half_life),
            float(weights_at(np.array(found.hottest), found.read_at, found.half_life)),
        ),
        float(taste.posts),
        blend,
    )
    vectors = found.vectors.astype(np.float64)
    vectors -= vectors.mean(axis=0) if taste.mean is None else taste.mean
    order = diversify(scores.total, vectors, limit, diversity)
    slots = explore(order, len(found.posts), explored, seed)
    return [
        Recommended(
            found.posts[post],
            position,
            float(scores.total[post]),
            float(scores.similarity[post]),
            float(scores.freshness[post]),
            float(scores.popularity[post]),
            int(nearest[post]) if taste.split else None,
            propensity or None,
        )
        for position, (post, propensity) in enumerate(
            zip(slots.posts.tolist(), slots.propensities.tolist(), strict=True)
        )
    ]


def _similarities(taste: Taste, found: Candidates) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return which direction each candidate is nearest to, (n,), and how near, (n,).

    Without any, 0 of each.
    """
    if not len(taste.vectors):
        count = len(found.posts)
        return np.zeros(count, dtype=np.intp), np.zeros(count)
    products = found.vectors.astype(np.float64) @ taste.vectors.astype(np.float64).T
    products -= taste.centres
    return products.argmax(axis=1), products.max(axis=1)
