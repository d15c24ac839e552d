"""How taste, freshness and popularity come together in one score."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

type Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Blend:
    """What each part of a score weighs, and how fast posts grow old.

    `similarity`, `freshness`, `popularity`: 0 or more, adding up to 1. `freshness_days`: a post so
    old is half as fresh; `popularity_days`: an action so old makes half as popular. `trust`: of a
    user who has done something to so many posts, similarity counts half of its weight.
    """

    version: int
    similarity: float
    freshness: float
    popularity: float
    freshness_days: float
    popularity_days: float
    trust: float


@dataclass(frozen=True)
class Scores:
    """Scores of n posts and the parts that add up to them, (n,) or (u, n) each."""

    total: Floats
    similarity: Floats
    freshness: Floats
    popularity: Floats

    @classmethod
    def of(
        cls,
        similarities: Floats,
        ages: Floats,
        popularities: Floats,
        posts: Floats | float,
        blend: Blend,
    ) -> Self:
        """Blend the parts.

        `similarities`: (n,) u . e - u . m, from -1 to 1, or (u, n) of several users; `ages`: (n,)
        of the posts, in days, what is yet to come counting as new; `popularities`: (n,) from 0 to
        1, as `popularity` has them; `posts`: how many the user has done something to, (u, 1) of
        several users.
        """
        similarity = blend.similarity * posts / (posts + blend.trust) * similarities
        freshness = blend.freshness * np.exp2(-np.maximum(ages, 0.0) / blend.freshness_days)
        popularity = blend.popularity * popularities
        total = similarity + freshness + popularity
        return cls(total, similarity, freshness, popularity)


def popularity(weights: Floats, most: float) -> Floats:
    """Return how popular posts are, (n,) from 0 to 1: 1 for the most popular of all.

    `weights`: (n,) the summed weight of what was done to each, each action fading by the blend's
    `popularity_days`; `most`: the highest there is. log(1 + w) / log(1 + most).
    """
    return np.log1p(weights) / np.log1p(most) if most > 0 else np.zeros_like(weights)
