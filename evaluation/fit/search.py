"""Which blends are tried: draws within each set of signals, and a climb from the best of each."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, Self

import numpy as np
from numpy.random import Generator

from lib.embedding.ranking import Blend

PARTS = 20
"""Weights are whole numbers of such parts: nothing finer can be told from data."""

DAYS = (1.0, 2.0, 4.0, 7.0, 14.0, 30.0, 90.0)
"""Half-lives, none below the day that is all that some logs know of a time."""

TRUST = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0)

DRAWS = 240
"""For each set of signals. With 60 the climb ends, by the seed, on a lower hill."""

ROUNDS = 12
"""So many times a climb goes on to a better neighbour at most."""

SIGNALS = ("similarity", "freshness", "popularity")
SETS = tuple(names for size in (1, 2, 3) for names in combinations(SIGNALS, size))
"""Every set of signals, the smaller ones first."""

USUAL_DAYS, USUAL_TRUST = 7.0, 5.0
"""Of a signal that weighs nothing, or has nothing beside it: any value would do."""

type Score = Callable[["Mix"], float]


@dataclass(frozen=True)
class Mix:
    """A blend on the grid: weights in PARTS that add up to it."""

    similarity: int
    freshness: int
    popularity: int
    freshness_days: float
    popularity_days: float
    trust: float

    @property
    def signals(self) -> tuple[str, ...]:
        """Those that weigh anything."""
        return tuple(name for name in SIGNALS if getattr(self, name))

    @property
    def plain(self) -> Self:
        """The same ranking, with what does not matter to it as usual."""
        only_one = len(self.signals) == 1
        return replace(
            self,
            # alone, freshness is the order of age whatever its half-life
            freshness_days=USUAL_DAYS if only_one or not self.freshness else self.freshness_days,
            popularity_days=self.popularity_days if self.popularity else USUAL_DAYS,
            trust=USUAL_TRUST if only_one or not self.similarity else self.trust,
        )

    def blend(self, version: int) -> Blend:
        """Return what can be ranked by."""
        return Blend(
            version,
            self.similarity / PARTS,
            self.freshness / PARTS,
            self.popularity / PARTS,
            self.freshness_days,
            self.popularity_days,
            self.trust,
        )


def climb(signals: tuple[str, ...], score: Score, rng: Generator) -> Mix:
    """Return the best blend of exactly these signals that DRAWS and a climb find.

    Of equally good ones the first stays.
    """
    best = max((draw(signals, rng) for _ in range(DRAWS)), key=score)
    for _ in range(ROUNDS):
        found = max([best, *neighbours(best)], key=score)
        if found == best:
            break
        best = found
    return best


def draw(signals: tuple[str, ...], rng: Generator) -> Mix:
    """Draw a blend of these signals, each with at least one of PARTS."""
    bounds = [0, *sorted(1 + rng.permutation(PARTS - 1)[: len(signals) - 1]), PARTS]
    parts = dict(zip(signals, np.diff(bounds).tolist(), strict=True))
    fresh, popular = rng.integers(len(DAYS), size=2).tolist()
    similarity, freshness, popularity = (parts.get(name, 0) for name in SIGNALS)
    return Mix(
        similarity,
        freshness,
        popularity,
        DAYS[fresh],
        DAYS[popular],
        TRUST[int(rng.integers(len(TRUST)))],
    ).plain


def neighbours(mix: Mix) -> Iterator[Mix]:
    """Yield what is one step away, with the same signals."""
    for giving in mix.signals:
        for taking in mix.signals:
            if giving != taking and getattr(mix, giving) > 1:
                given, taken = getattr(mix, giving) - 1, getattr(mix, taking) + 1
                moved: dict[str, Any] = {giving: given, taking: taken}
                yield replace(mix, **moved)
    bent = [replace(mix, freshness_days=days) for days in _beside(mix.freshness_days, DAYS)]
    bent += [replace(mix, popularity_days=days) for days in _beside(mix.popularity_days, DAYS)]
    bent += [replace(mix, trust=posts) for posts in _beside(mix.trust, TRUST)]
    yield from (found.plain for found in bent if found.plain != mix)


def _beside(value: float, grid: tuple[float, ...]) -> Sequence[float]:
    place = grid.index(value)
    return [*grid[max(0, place - 1) : place], *grid[place + 1 : place + 2]]
