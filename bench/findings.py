"""All that a run of the bench found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.conditions import Conditions
from bench.contest import Standing
from bench.course import Course
from bench.imports import Imports
from bench.machine import Machine
from bench.schemes import Price
from bench.spread import Spread
from bench.traffic import Traffic
from bench.warmth import Warmth
from bench.world import World

USUAL, LARGE = 500, 2000


@dataclass(frozen=True)
class Findings:
    """`standings`: first without Redis, then with it at growing distances.

    `cold`: ms of a process's first page; `phases`: ms a user by what they went to; `pings`: ms of
    an empty query by round trip (s); `whole`: a run by the function's own process; `warmths`: of
    a process's first runs; `prices`: by scheme; `disagreement`: the largest difference between a
    number of ours and the loop's.
    """

    machine: Machine
    world: World
    command: str
    seconds: float
    cold: Spread
    standings: Sequence[Standing]
    phases: Mapping[str, float]
    pings: Mapping[float, float]
    prepared: Standing
    traffic: Sequence[Traffic]
    conditions: Conditions
    imports: Imports
    whole: Course
    warmths: Sequence[Warmth]
    prices: Mapping[str, Price]
    disagreement: float

    @property
    def plain(self) -> Standing:
        """Without Redis, nearby."""
        return self.standings[0]

    @property
    def served(self) -> Sequence[Standing]:
        """With Redis, from near to far."""
        return self.standings[1:]
