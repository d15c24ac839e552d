"""A dataset's time in slices: the past, what is fitted on, and the last, which is not."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from evaluation.dataset import Dataset
from evaluation.findings import TooLittle
from evaluation.fit.moment import Moment, newcomers, splits, until
from evaluation.split import midnight
from lib.embedding import Scheme
from lib.embedding.ranking import Blend

LAST = 0.8
"""Where the last slice begins, as a share of all actions."""

FITTED = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""Where weights are fitted, as shares of the actions before the last slice."""

JUDGED = (0.8, 0.85, 0.9, 0.95)
"""Where they are judged, as shares of all actions."""

CELLS = 400_000
"""Scores looked at for each fitting cut at most: with more users, some are drawn."""


@dataclass(frozen=True, eq=False)
class Fitting:
    """Moments before the last slice, of c users and cuts in all.

    `owners`: (c,) numbers of users.
    """

    name: str
    moments: tuple[Moment, ...]
    owners: NDArray[np.intp]

    @classmethod
    def of(cls, dataset: Dataset, scheme: Scheme, seed: int) -> Self:
        """Take only what happened before the last slice. Raises TooLittle."""
        known = until(dataset, midnight(dataset, LAST))
        if not len(known.actions.at):
            raise TooLittle(f"expected actions on several days in {dataset.name}, got one day's")
        rng = np.random.default_rng(seed)
        most = max(1, CELLS // len(dataset.posts))
        moments = []
        for split in splits(known, [midnight(known, share) for share in FITTED]):
            chosen = ~newcomers(split)
            drawn = rng.permutation(np.flatnonzero(chosen))[most:]
            chosen[drawn] = False
            if chosen.any():
                moments.append(Moment.of(known, split.where(chosen), scheme))
        if not moments:
            raise TooLittle(
                f"expected users who acted before and after a cut in {dataset.name}, got none"
            )
        owners = np.concatenate([moment.split.users for moment in moments])
        return cls(dataset.name, tuple(moments), owners)

    def figures(self, blend: Blend) -> NDArray[np.float64]:
        """Return nDCG@10 of each user and cut: (c,)."""
        return np.concatenate([moment.ndcg(blend) for moment in self.moments])


def judged(dataset: Dataset, scheme: Scheme) -> Iterator[Moment]:
    """Yield the moments of the last slice, newcomers included."""
    for split in splits(dataset, [midnight(dataset, share) for share in JUDGED]):
        yield Moment.of(dataset, split, scheme)
