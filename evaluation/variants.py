"""The ways to make users' vectors that are compared."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from evaluation.dataset import Dataset
from evaluation.ranking import Scores
from evaluation.split import Split
from evaluation.tastes import Tastes, mean_of, scores, tastes_of
from lib.embedding import SCHEMES, Scheme
from lib.embedding.schemes import CENTRED, RECOMMENDED, VIEW

HALF_LIVES = (7.0, 30.0, 90.0, 180.0)
FLAT = dict.fromkeys(CENTRED.weights, 1.0)


@dataclass(frozen=True)
class Variant:
    """A scheme, and what is done with its vectors here.

    `several`: a post is scored by the nearest of the user's interests. `stripped`: the direction in
    which the candidates differ most is taken off as well.
    """

    name: str
    scheme: Scheme
    several: bool = False
    stripped: bool = False

    def tastes(self, dataset: Dataset, split: Split, users: NDArray[np.intp]) -> Tastes:
        """Make the vectors of these users of the dataset, (n,)."""
        found = tastes_of(dataset, split, self.scheme, users, several=self.several)
        return _stripped(found, dataset, split) if self.stripped else found

    def scores(self, dataset: Dataset, split: Split) -> Scores:
        """Score the posts for the split's users."""
        return scores(dataset, self.tastes(dataset, split, split.users))


def shipped() -> tuple[Variant, ...]:
    """Return every scheme by its one vector."""
    return tuple(Variant(scheme.label, scheme) for scheme in SCHEMES)


def changed(dataset: Dataset) -> Iterator[Variant]:
    """Yield CENTRED and RECOMMENDED with one thing changed each, if the dataset lets it matter."""
    for days in HALF_LIVES:
        yield Variant(f"centred, half-life {days:g} d", replace(CENTRED, half_life=days))
    yield Variant("centred, saturated", replace(CENTRED, saturated=True))
    if VIEW in dataset.types:
        yield Variant("centred, daily views", replace(CENTRED, daily_views=True))
    if dataset.places(*RECOMMENDED.negatives):
        away, share = RECOMMENDED.negatives, RECOMMENDED.negative_share
        pushed = replace(CENTRED, negatives=away, negative_share=share)
        yield Variant("centred, negatives", pushed)
    yield Variant("centred, all weights 1", replace(CENTRED, weights=FLAT))
    yield Variant("centred, strongest direction off", CENTRED, stripped=True)
    for posts in (50, 20, 10):
        split = replace(CENTRED, interests=4, long_history=posts)
        yield Variant(f"centred, 4 interests from {posts} posts", split, several=True)
    for name, scheme in {
        "no half-life": replace(RECOMMENDED, half_life=math.inf),
        "half-life 30 d": replace(RECOMMENDED, half_life=30.0),
        "half-life 90 d": replace(RECOMMENDED, half_life=90.0),
        "not saturated": replace(RECOMMENDED, saturated=False),
        "saturated": replace(RECOMMENDED, saturated=True),
    }.items():
        if scheme != RECOMMENDED:
            yield Variant(f"recommended, {name}", scheme)
    if RECOMMENDED.interests:
        yield Variant("recommended, by its interests", RECOMMENDED, several=True)


def _stripped(tastes: Tastes, dataset: Dataset, split: Split) -> Tastes:
    """Take the candidates' first principal direction off the vectors, which are one a user."""
    spread = dataset.vectors[split.candidates].astype(np.float64) - mean_of(dataset, split)
    strongest = np.linalg.eigh(spread.T @ spread).eigenvectors[:, -1]
    vectors = tastes.vectors - np.outer(tastes.vectors @ strongest, strongest)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return replace(tastes, vectors=vectors, centres=np.zeros(len(vectors)))
