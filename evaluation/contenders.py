"""Rankings that know nothing of taste."""

import numpy as np
from numpy.typing import NDArray

from evaluation.dataset import Dataset
from evaluation.ranking import Scores
from evaluation.split import Split, past, positive, standing


def at_random(dataset: Dataset, seed: int) -> Scores:
    """Rank at random; the same seed ranks in the same way."""

    def score(first: int, last: int) -> NDArray[np.float64]:
        rng = np.random.default_rng([seed, first])
        return rng.random((last - first, len(dataset.posts)))

    return score


def by_popularity(dataset: Dataset, split: Split) -> Scores:
    """Rank by how many different users had acted on a post before the cut."""
    known = past(dataset, split)
    chosen = dataset.actions[positive(dataset) & standing(dataset, known)]
    pairs = np.unique(chosen.user * len(dataset.posts) + chosen.post)
    counts = np.bincount(pairs % len(dataset.posts), minlength=len(dataset.posts))
    return _the_same_for_all(counts.astype(np.float64))


def by_age(dataset: Dataset) -> Scores:
    """Rank the newest first."""
    return _the_same_for_all(dataset.created.astype(np.float64))


def _the_same_for_all(scores: NDArray[np.float64]) -> Scores:
    return lambda first, last: np.broadcast_to(scores, (last - first, len(scores)))
