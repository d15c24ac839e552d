"""The status as a page: what a template needs of it, and no more."""

from collections.abc import Iterator, Mapping

from lib.page.chart import Chart, Series, bars, lines
from lib.page.document import Document, render
from lib.page.wording import HOUR, percent, rate, short
from lib.status.status import RunStatus, Status
from lib.status.verdict import State, judge

SENTENCES = {
    State.WELL: "All is well.",
    State.LOOK: "It works, and something wants a look.",
    State.BROKEN: "Something is broken.",
}
RUNNING_SECONDS, RESTING_SECONDS = 3, 30
"""How often an open page looks again: while a run is in progress, and otherwise."""


def status_page(status: Status, query: Mapping[str, str]) -> Document:
    """Return the page; `query`: what of the address opened it, for the links on it."""
    verdict = judge(status)
    newest = next(iter(status.runs), None)
    running = newest if newest and newest.finished_at is None else None
    return render(
        "status.html",
        status=status,
        verdict=verdict,
        state=verdict.state.name.lower(),
        sentence=SENTENCES[verdict.state],
        running=running,
        newest=newest,
        last=status.last_finished,
        left=_left(running),
        own_rate=_rate(status.totals.hits, status.totals.misses + status.totals.troubles),
        every_rate=_rate(status.keyspace.hits, status.keyspace.misses),
        charts=tuple(_charts(status)),
        every=RUNNING_SECONDS if running else RESTING_SECONDS,
        query=query,
    )


def _left(run: RunStatus | None) -> float | None:
    """How many seconds a run will yet take, at the pace it had so far."""
    if run is None or not run.users_per_second:
        return None
    return run.users_left / run.users_per_second


def _rate(hits: int | None, misses: int | None) -> float | None:
    """Return the share of hits; None where nothing was asked, or nobody tells."""
    asked = (hits or 0) + (misses or 0)
    return (hits or 0) / asked if asked else None


def _charts(status: Status) -> Iterator[Chart]:
    runs = status.runs[::-1]
    if not runs:
        return
    labels = [f"run {run.number}" for run in runs]
    outcomes = [run.work.outcomes for run in runs]
    yield bars(
        "Users a run",
        labels,
        (
            Series("with a vector", tuple(one.processed for one in outcomes)),
            Series("skipped", tuple(one.skipped for one in outcomes)),
            Series("failed", tuple(one.failed for one in outcomes)),
        ),
        short,
    )
    speeds = tuple(run.users_per_second for run in runs)
    yield lines("Users a second", labels, (Series("done with", speeds),), rate)
    ages = [run.freshness.age for run in runs]
    median, late = (tuple(_hours(age.quantile(part)) for age in ages) for part in (0.5, 0.95))
    yield lines(
        "Age of the vectors of active users, before each run",
        labels,
        (
            Series("half of them are under", median),
            Series("95 % of them are under", late),
        ),
        "{:.3g} h".format,
    )
    covered = Series("of them", tuple(run.freshness.coverage for run in runs))
    yield lines(
        "Active users with a vector, before each run",
        labels,
        (covered,),
        percent,
    )
    last = status.last_finished
    if last:
        drift = last.work.drift
        yield bars(
            f"How far vectors moved in run {last.number}: 1 - cosine, at most",
            [*(f"{bound:g}" for bound in drift.bounds), "more"],
            (Series("sampled vectors", drift.counts),),
            short,
        )
        phases = vars(last.work.phases)
        yield bars(
            f"Where the time of run {last.number} went",
            list(phases),
            (Series("of work", tuple(phases.values())),),
            "{:.3g} s".format,
        )


def _hours(seconds: float | None) -> float | None:
    return None if seconds is None else seconds / HOUR
