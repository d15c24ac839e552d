"""What a month of runs would cost on a platform."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.sizing.counts import Load
from bench.sizing.duration import MEASURED
from bench.sizing.tables import tables
from evaluation.live import Sample
from evaluation.tryout.people import People


@dataclass(frozen=True)
class Month:
    """The average run, and rows of what is paid for: a name, and dollars with the plan."""

    load: Load
    rows: Sequence[Sequence[str]]


def month(sample: Sample, found: People) -> Month:
    """Reckon a month of average runs, from the prices that `make sizing` has."""
    active = max(1, round(found.active / sample.share))
    made = min(active, round(found.made / sample.share))
    load = Load(
        active,
        actions=max(1.0, found.actions),
        posts=max(2, sample.embedded),
        skipped=active - made,
    )
    _, dollars, _ = tables([load], MEASURED, (1,))
    return Month(load, dollars.rows)
