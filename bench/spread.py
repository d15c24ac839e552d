"""Repeated measurements, and several things measured side by side."""

import statistics
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

type Measure = Callable[[], Awaitable[float]]


@dataclass(frozen=True)
class Spread:
    """What repeated measurements of one thing came to."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        return cls(statistics.median(values), min(values), max(values))


async def in_turn[Name](rounds: int, measures: Mapping[Name, Measure]) -> dict[Name, list[float]]:
    """Take every measure once a round, in turn, so that a noisy moment meets all of them alike."""
    taken: dict[Name, list[float]] = {name: [] for name in measures}
    for _ in range(rounds):
        for name, measure in measures.items():
            taken[name].append(await measure())
    return taken


async def side_by_side[Name](rounds: int, measures: Mapping[Name, Measure]) -> dict[Name, Spread]:
    """Take the measures in turn, and return what each came to."""
    taken = await in_turn(rounds, measures)
    return {name: Spread.of(values) for name, values in taken.items()}
