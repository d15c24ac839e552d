"""What the schemes are worth on a sample, by what its users did later."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from evaluation.bootstrap import Interval, bootstrap
from evaluation.dataset import Dataset
from evaluation.findings import CUTS
from evaluation.split import Split, at_share
from evaluation.trial import METRICS, NEWEST, POPULARITY, RANDOM, SEED, Trial, attempt, pool
from evaluation.variants import shipped
from lib.embedding import BASELINE, SCHEMES

CELLS = 12_000_000
"""Scores a contender computes at a cut, so that all cuts of all take two minutes at most."""

PEOPLE = 20
"""Below so many users an interval says nothing."""

SHOWN = ("nDCG@10", "recall@50")
BLIND = (RANDOM, NEWEST, POPULARITY)
CONTENDERS = (*BLIND, *(scheme.label for scheme in SCHEMES))


@dataclass(frozen=True, eq=False)
class Worth:
    """What came of the contenders: cases with enough posts, at all cuts; None where too few."""

    trial: Trial | None
    people: int

    def of(self, contender: str, metric: str) -> Interval:
        """Return a contender's mean figure."""
        if self.trial is None:
            raise ValueError("expected a trial, got none")
        figures = self.trial.figures[contender][METRICS.index(metric)]
        return bootstrap(figures, self.trial.users, np.random.default_rng(SEED))

    def verdict(self, contender: str) -> str:
        """Say how a contender does beside the baseline; nothing of the baseline itself."""
        if self.trial is None or contender == BASELINE.label:
            return ""
        return _judged(self.trial.over(contender, BASELINE.label, SHOWN[0]))


def worth(dataset: Dataset, cells: int = CELLS) -> Worth:
    """Put the shipped schemes on trial at each of CUTS, on as many users as there is time for."""
    trials, most = [], max(1, cells // len(dataset.posts))
    for number, share in enumerate(CUTS):
        split = _some(at_share(dataset, share), number * most, most)
        if len(split.users):
            trials.append(attempt(dataset, split, shipped()))
    found = pool("all cuts", trials).with_enough() if trials else None
    people = found.people if found else 0
    return Worth(found if people >= PEOPLE else None, people)


def _some(split: Split, first: int, most: int) -> Split:
    """Keep `most` users, others at each cut as far as there are others.

    Which is fair if their order is random, as a sample's is.
    """
    first = max(0, min(first, len(split.users) - most))
    width = len(split.candidates)
    begin, end = first * width, (first + most) * width

    def pairs(keys: NDArray[np.int64]) -> NDArray[np.int64]:
        return keys[(keys >= begin) & (keys < end)] - begin

    return replace(
        split,
        users=split.users[first : first + most],
        seen=pairs(split.seen),
        relevant=pairs(split.relevant),
    )


def _judged(found: Interval) -> str:
    if found.lower <= 0 <= found.upper:
        return f"no difference shown ({found.lower:+.3f} to {found.upper:+.3f})"
    word, sign = ("better", 1) if found.mean > 0 else ("worse", -1)
    low, high = sorted((sign * found.lower, sign * found.upper))
    return f"{word} by {abs(found.mean):.3f} ({low:.3f} to {high:.3f})"
