"""What the experiment under way has shown so far."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from lib.commands.shown import Shown, find_shown, shown_lines
from lib.embedding.schemes import WEIGHTS, find_scheme
from lib.errors import EmbeddingError, SettingError
from lib.experiment import Experiment
from lib.experiment.comparison import (
    ALARM,
    FEWEST_USERS,
    Comparison,
    Difference,
    compare,
    sample_ratio,
)
from lib.settings import DatabaseSettings, Environ, table
from lib.store.database import Database
from lib.store.experiments import read_outcomes

DONE = 0


@dataclass(frozen=True)
class Design:
    """An experiment of k arms: the label and the share of each."""

    name: str
    labels: tuple[str, ...]
    shares: tuple[int, ...]

    @classmethod
    def load(cls, environ: Environ) -> Self:
        """Read which experiment is under way; raise SettingError where there is none."""
        text = table.EMBEDDING_EXPERIMENT.load(environ)
        if text is None:
            raise SettingError("EMBEDDING_EXPERIMENT is empty: there is no experiment to report on")
        try:
            experiment = Experiment.parse(text)
            labels = tuple(find_scheme(arm.scheme).label for arm in experiment.arms)
        except EmbeddingError as error:
            raise SettingError(f"EMBEDDING_EXPERIMENT: {error}") from error
        return cls(experiment.name, labels, tuple(arm.share for arm in experiment.arms))


@dataclass(frozen=True)
class Found:
    """What has come of an experiment of k arms.

    `exposed`: (k,) users who got the arm's scheme. `elsewhere`: users who got a scheme of no arm.
    `comparison`: of those of the exposed whose days are over. `shown`: what they were shown.
    """

    exposed: NDArray[np.int64]
    elsewhere: int
    comparison: Comparison
    shown: Shown


def report(environ: Environ, days: int = 7) -> int:
    """Print how the arms of the experiment compare, by what their users did afterwards.

    Raises SettingError and Unavailable.
    """
    design = Design.load(environ)
    found = asyncio.run(_find(Database(DatabaseSettings.load(environ)), design, days))
    print("\n".join(_lines(design, found, days)))
    return DONE


async def _find(database: Database, design: Design, days: int) -> Found:
    k = len(design.labels)
    places = {label: place for place, label in enumerate(design.labels)}
    exposed = np.zeros(k + 1, dtype=np.int64)
    parts = [(np.zeros(0, dtype=np.intp), np.zeros(0), np.zeros(0))]
    try:
        async with database.connection() as connection:
            async for page in read_outcomes(connection, design.name, WEIGHTS, days):
                arm = np.array([places.get(scheme, k) for scheme in page.schemes], dtype=np.intp)
                exposed += np.bincount(arm, minlength=k + 1)
                compared = page.over & (arm < k)
                parts.append((arm[compared], page.before[compared], page.after[compared]))
            shown = await find_shown(connection, design.name, places)
    finally:
        await database.close()
    arm, before, after = map(np.concatenate, zip(*parts, strict=True))
    return Found(exposed[:k], int(exposed[k]), compare(arm, before, after, k), shown)


def _lines(design: Design, found: Found, days: int) -> Iterator[str]:
    yield f"experiment {design.name}, {days} days before and after each user's first vector"
    yield ""
    yield from _table(design, found)
    yield ""
    yield _ratio(sample_ratio(found.exposed, np.array(design.shares, dtype=np.float64)))
    first = design.labels[0]
    yield f"against {first}, adjusted for the {days} days before, with 95 % intervals:"
    for label, difference in zip(design.labels[1:], found.comparison.differences, strict=True):
        yield f"  {label}: {_verdict(difference)}"
    waiting = int(found.exposed.sum() - found.comparison.users.sum())
    if waiting:
        yield f"{waiting} users are still within their {days} days, and not compared yet"
    if found.elsewhere:
        yield f"{found.elsewhere} users got a scheme that is no arm of this experiment: left out"
    yield ""
    yield from shown_lines(design.labels, found.shown)


def _table(design: Design, found: Found) -> Iterator[str]:
    width = max(map(len, design.labels))
    yield f"{'':{width}}  exposed  wanted   found  compared   before    after"
    for place, label in enumerate(design.labels):
        wanted = design.shares[place] / sum(design.shares)
        share = found.exposed[place] / max(1, found.exposed.sum())
        comparison = found.comparison
        before, after = comparison.before[place], comparison.after[place]
        yield (
            f"{label:{width}} {found.exposed[place]:8} {wanted:7.1%} {share:7.1%}"
            f" {comparison.users[place]:9} {before:8.2f} {after:8.2f}"
        )


def _ratio(likely: float | None) -> str:
    if likely is None:
        return "sample ratio: too few users to check"
    if likely < ALARM:
        return (
            f"sample ratio: NOT as wanted (p = {likely:.1g}): something loses users of one arm, or"
            " the shares were changed; trust nothing below"
        )
    return f"sample ratio: as wanted (p = {likely:.2g})"


def _verdict(difference: Difference | None) -> str:
    if difference is None:
        return f"too few users to compare: each arm needs {FEWEST_USERS}"
    reduction = round(100 * difference.variance_reduction)
    interval = f"({difference.low:.2f} to {difference.high:.2f})"
    narrower = f"the adjustment took {reduction} % off the variance"
    if not difference.shown:
        return f"no difference shown {interval}; {narrower}"
    return f"{difference.value:+.2f} weighted actions a user {interval}; {narrower}"
