"""Figures that need nobody to say what is right."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluation.dataset import Dataset
from evaluation.split import DAY, Split, past, positive, standing
from evaluation.tastes import mean_of


@dataclass(frozen=True)
class LabelFree:
    """What the posts and histories before a cut are like.

    `mean_length`: of the candidates' mean vector, 0 to 1 if they have unit length. `resultants`:
    (3,) quartiles over users of the length of the mean of the unit vectors of a user's posts: 1 if
    they all point one way. `centred_resultants`: the same with the candidates' mean taken off
    before. `age`: the median age of actions at the cut, in days. `users`: how many those are.
    """

    users: int
    mean_length: float
    resultants: NDArray[np.float64]
    centred_resultants: NDArray[np.float64]
    age: float


def label_free(dataset: Dataset, split: Split, users: NDArray[np.intp]) -> LabelFree:
    """Describe what these users of the dataset, (n,), did before the cut."""
    known = past(dataset, split)
    chosen = positive(dataset) & standing(dataset, known)
    chosen &= split.candidates[dataset.actions.post] & np.isin(dataset.actions.user, users)
    actions = dataset.actions[chosen]
    pairs = np.unique(actions.user * len(dataset.posts) + actions.post)
    owners, posts = np.divmod(pairs, len(dataset.posts))
    mean = mean_of(dataset, split)
    ages = split.cuts[actions.user] - actions.at
    return LabelFree(
        len(users),
        float(np.linalg.norm(mean)),
        _resultants(dataset.vectors[posts].astype(np.float64), owners),
        _resultants(dataset.vectors[posts] - mean, owners),
        float(np.median(ages)) / DAY,
    )


def _resultants(vectors: NDArray[np.float64], owners: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the quartiles of the owners' mean directions' lengths: (c, d), (c,) -> (3,)."""
    vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    starts = np.flatnonzero(np.diff(owners, prepend=-1))
    counts = np.diff(starts, append=len(owners))
    sums = np.add.reduceat(vectors, starts, axis=0)
    return np.quantile(np.linalg.norm(sums, axis=1) / counts, [0.25, 0.5, 0.75])
