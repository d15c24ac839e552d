"""All that recommendations made at one moment could have known, and how good they were."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from evaluation.dataset import Dataset
from evaluation.ranking import Ranking, rank
from evaluation.split import DAY, Split, at_time, positive
from evaluation.tastes import scores, tastes_of
from evaluation.trial import ENOUGH
from lib.embedding import Scheme
from lib.embedding.ranking import Blend, Scores, popularity
from lib.embedding.schemes import WEIGHTS

DEPTH = 10

type Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Moment:
    """n users at a cut, and p posts.

    `similarities`: (n, p), of the nearest of a user's interests, 0 for a user without a vector.
    `posts`: (n, 1) how many different ones a user had acted on. `ages`: (p,) of the posts, in days.
    `acted_on`, `weights`, `faded`: (a,) each, of every action that makes popular: on which post,
    what it weighs, and its age in days. `barred`: (n, p), inf for what is no candidate or was seen.
    """

    split: Split
    similarities: Floats
    posts: Floats
    ages: Floats
    acted_on: NDArray[np.intp]
    weights: Floats
    faded: Floats
    barred: Floats

    @classmethod
    def of(cls, dataset: Dataset, split: Split, scheme: Scheme) -> Self:
        """Know what was known at the split's cut, which is the same for all its users."""
        users, width = len(split.users), len(dataset.posts)
        tastes = tastes_of(dataset, split, scheme, split.users, several=scheme.interests > 0)
        similarities = scores(dataset, tastes)(0, users)
        similarities[~tastes.made | (tastes.posts < max(ENOUGH, scheme.minimum))] = 0.0
        cut = int(split.cuts[0])
        past = positive(dataset) & (dataset.actions.at < cut)
        actions = dataset.actions[past]
        weights = np.array([WEIGHTS.get(kind, 0.0) for kind in dataset.types])
        allowed = split.candidates & ~split.mask(split.seen, 0, users)
        return cls(
            split,
            similarities,
            np.bincount(split.seen // width, minlength=users).astype(np.float64)[:, None],
            (cut - dataset.created) / DAY,
            actions.post,
            weights[actions.kind],
            (cut - actions.at) / DAY,
            np.where(allowed, 0.0, np.inf),
        )

    def popularities(self, days: float) -> Floats:
        """Return how popular each post is, actions fading by half in so many days: (p,)."""
        left = self.weights * np.exp2(-self.faded / days)
        summed = np.bincount(self.acted_on, left, len(self.ages))
        return popularity(summed, float(summed.max()))

    def scores(self, blend: Blend) -> Floats:
        """Return what serves: (n, p)."""
        popularities = self.popularities(blend.popularity_days)
        return Scores.of(self.similarities, self.ages, popularities, self.posts, blend).total

    def rank(self, blend: Blend) -> Ranking:
        """Rank all candidates for each user."""
        found = self.scores(blend)
        return rank(self.split, lambda first, last: found[first:last])

    def ndcg(self, blend: Blend) -> Floats:
        """Return nDCG at DEPTH of each user, (n,), as of the full ranking, but without sorting."""
        users, width = self.similarities.shape
        depth = min(DEPTH, width)
        found = self.scores(blend) - self.barred
        least = np.partition(found, width - depth, axis=1)[:, width - depth]
        owners, posts = np.divmod(self.split.relevant, width)
        near = found[owners, posts] >= least[owners]
        rows, own = found[owners[near]], found[owners[near], posts[near]][:, None]
        ahead = (rows > own).sum(axis=1)
        ahead += ((rows == own) & (np.arange(width) < posts[near, None])).sum(axis=1)
        gains = np.zeros(len(owners))
        gains[near] = np.where(ahead < DEPTH, 1 / np.log2(2 + ahead), 0.0)
        best = np.cumsum(1 / np.log2(1 + np.arange(1, DEPTH + 1)))
        wanted = np.minimum(np.bincount(owners, minlength=users), DEPTH)
        shares: Floats = np.bincount(owners, gains, users) / best[wanted - 1]
        return shares


def until(dataset: Dataset, time: int) -> Dataset:
    """Return what was known of a dataset before a time, in microseconds since 2000."""
    return replace(dataset, actions=dataset.actions[dataset.actions.at < time])


def splits(dataset: Dataset, cuts: Sequence[int]) -> list[Split]:
    """Return the splits at these times that leave anything to be found, each time once."""
    found = [at_time(dataset, cut) for cut in sorted(set(cuts))]
    return [split for split in found if len(split.users)]


def newcomers(split: Split) -> NDArray[np.bool_]:
    """Which users had done nothing at all before the cut: (n,)."""
    seen = np.bincount(split.seen // len(split.candidates), minlength=len(split.users))
    none: NDArray[np.bool_] = seen == 0
    return none
