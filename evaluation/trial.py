"""Every contender on every split: a figure for each user."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from evaluation.bootstrap import Interval, bootstrap
from evaluation.contenders import at_random, by_age, by_popularity
from evaluation.dataset import Dataset
from evaluation.metrics import coverage, diversity, ndcg, recall, reciprocal_rank
from evaluation.ranking import Ranking, rank
from evaluation.split import Split
from evaluation.tastes import mean_of, scores
from evaluation.variants import Variant

METRICS = ("nDCG@10", "recall@10", "recall@50", "MRR", "diversity@10")
RANDOM, NEWEST, POPULARITY = "random", "newest first", "popularity"
SEED = 20

ENOUGH = 3
"""Posts that a first vector takes: MIN_INTERACTIONS, unless it is set."""


@dataclass(frozen=True, eq=False)
class Trial:
    """What came of c cases: users at a cut, the same for every contender.

    `users`: (c,) numbers; `posts`: (c,) how many posts their vectors are made from; `wanted`: (c,)
    how many there were to be found; `figures`: for each contender (METRICS, c); `coverage`: for
    each the share of the candidates in the list of anybody with ENOUGH posts, the mean over the
    splits.
    """

    name: str
    users: NDArray[np.intp]
    posts: NDArray[np.int64]
    wanted: NDArray[np.int64]
    figures: Mapping[str, NDArray[np.float64]]
    coverage: Mapping[str, float]

    def where(self, chosen: NDArray[np.bool_]) -> Self:
        """Return the trial of some of the cases."""
        figures = {name: rows[:, chosen] for name, rows in self.figures.items()}
        kept = (self.users[chosen], self.posts[chosen], self.wanted[chosen])
        return type(self)(self.name, *kept, figures, self.coverage)

    def with_enough(self) -> Self:
        """Return the trial of the cases with ENOUGH posts."""
        return self.where(self.posts >= ENOUGH)

    @property
    def people(self) -> int:
        """How many different users there are."""
        return len(np.unique(self.users))

    def means(self, contender: str) -> NDArray[np.float64]:
        """Return the contender's mean figures: (METRICS,)."""
        means: NDArray[np.float64] = self.figures[contender].mean(axis=1)
        return means

    def over(self, contender: str, other: str, metric: str) -> Interval:
        """By how much the contender is better than the other, resampled by user."""
        row = METRICS.index(metric)
        difference = self.figures[contender][row] - self.figures[other][row]
        return bootstrap(difference, self.users, np.random.default_rng(SEED))


def attempt(dataset: Dataset, split: Split, variants: Sequence[Variant]) -> Trial:
    """Rank for every user of the split who has a vector in every variant."""
    rankings = {
        RANDOM: rank(split, at_random(dataset, SEED)),
        NEWEST: rank(split, by_age(dataset)),
        POPULARITY: rank(split, by_popularity(dataset, split)),
    }
    made, posts = np.ones(len(split.users), np.bool_), np.zeros(len(split.users), np.int64)
    for variant in variants:
        tastes = variant.tastes(dataset, split, split.users)
        rankings[variant.name] = rank(split, scores(dataset, tastes))
        made &= tastes.made
        posts = np.maximum(posts, tastes.posts)
    directions = centred(dataset, split)
    figures = {name: measure(ranking, directions) for name, ranking in rankings.items()}
    candidates, enough = int(split.candidates.sum()), made & (posts >= ENOUGH)
    covered = {n: coverage(ranking.lists[enough], candidates) for n, ranking in rankings.items()}
    wanted = np.bincount(split.relevant // len(dataset.posts), minlength=len(split.users))
    return Trial(split.name, split.users, posts, wanted, figures, covered).where(made)


def pool(name: str, trials: Sequence[Trial]) -> Trial:
    """Put the cases of several trials of the same contenders together."""
    contenders = trials[0].figures
    return Trial(
        name,
        np.concatenate([trial.users for trial in trials]),
        np.concatenate([trial.posts for trial in trials]),
        np.concatenate([trial.wanted for trial in trials]),
        {n: np.concatenate([trial.figures[n] for trial in trials], axis=1) for n in contenders},
        {n: float(np.mean([trial.coverage[n] for trial in trials])) for n in contenders},
    )


def centred(dataset: Dataset, split: Split) -> NDArray[np.float64]:
    """Return the posts' directions as seen from the candidates' mean: (p, d), of unit length."""
    around = dataset.vectors - mean_of(dataset, split)
    lengths = np.linalg.norm(around, axis=1, keepdims=True)
    return np.divide(around, lengths, out=np.zeros_like(around), where=lengths > 0)


def measure(ranking: Ranking, directions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the figures of a ranking: (METRICS, n)."""
    return np.stack(
        [
            ndcg(ranking, 10),
            recall(ranking, 10),
            recall(ranking, 50),
            reciprocal_rank(ranking),
            diversity(ranking, directions),
        ]
    )
