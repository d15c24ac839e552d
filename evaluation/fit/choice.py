"""Which of the blends tried is chosen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.account import Say
from evaluation.fit.search import SETS, Mix, climb
from evaluation.fit.slices import Fitting


@dataclass(frozen=True)
class Choice:
    """The best blend of each set of signals, and which of them was chosen.

    `means`: each one's nDCG@10, the mean over the datasets; `error`: the standard error of the
    highest of them. `tried`: how many blends were looked at in all.
    """

    name: str
    chosen: Mix
    best: Mapping[tuple[str, ...], Mix]
    means: Mapping[tuple[str, ...], float]
    error: float
    tried: int


class Fittings:
    """The figures of blends on some fittings, each found once."""

    def __init__(self, fittings: Sequence[Fitting]) -> None:
        self.all = fittings
        self._figures: dict[tuple[int, Mix], NDArray[np.float64]] = {}

    def figures(self, place: int, mix: Mix) -> NDArray[np.float64]:
        """Return the figures on one of the fittings: (c,)."""
        key = (place, mix)
        if key not in self._figures:
            self._figures[key] = self.all[place].figures(mix.blend(0))
        return self._figures[key]


def choose(name: str, fittings: Fittings, places: Sequence[int], seed: int, say: Say) -> Choice:
    """Fit on the fittings at `places`, each counting as much as any other.

    The best of each set of signals is found by itself. Chosen is that of the smallest set that is
    within one standard error of the best of all; of sets of one size, the better one.
    """
    tried: set[Mix] = set()

    def score(mix: Mix) -> float:
        tried.add(mix)
        return float(np.mean([fittings.figures(place, mix).mean() for place in places]))

    rng = np.random.default_rng(seed)
    best = {signals: climb(signals, score, rng) for signals in SETS}
    means = {signals: score(mix) for signals, mix in best.items()}
    top = max(SETS, key=lambda signals: means[signals])
    error = _error(fittings, places, best[top])
    near = [signals for signals in SETS if means[signals] >= means[top] - error]
    chosen = best[min(near, key=lambda signals: (len(signals), -means[signals]))]
    say(f"{name}: {len(tried)} blends tried")
    return Choice(name, chosen, best, means, error, len(tried))


def _error(fittings: Fittings, places: Sequence[int], mix: Mix) -> float:
    """Return the standard error of a blend's mean; all of a user's cuts count as one draw."""
    variances = []
    for place in places:
        figures = fittings.figures(place, mix)
        _, owners = np.unique(fittings.all[place].owners, return_inverse=True)
        sums = np.bincount(owners, figures - figures.mean())
        variances.append((sums**2).sum() / len(figures) ** 2)
    return float(np.sqrt(np.sum(variances))) / len(places)
