"""A status where all is well, to be spoilt one way or another."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from lib.status.histogram import Histogram
from lib.status.status import (
    Arm,
    Backlog,
    Freshness,
    Keyspace,
    Outcomes,
    Phases,
    Queue,
    RunStatus,
    Schedule,
    Status,
    Totals,
    Work,
)

AT = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
TICK = timedelta(hours=2)


def work(**changes: Any) -> Work:
    found = Work(
        pages=2,
        outcomes=Outcomes(processed=900, few_posts=100),
        phases=Phases(1.0, 0.5, 0.5, 0.1, 0.2),
        retries=0,
        repeats=0,
        unknown_actions=0,
        unusable_posts=0,
        failed_pages=0,
        drift=Histogram((0.1, 1.0), (10, 2, 0), 1.5),
    )
    return replace(found, **changes)


def run(number: int, ago: timedelta, **changes: Any) -> RunStatus:
    """A run of 1,000 users that was planned so long ago and took a minute."""
    planned = AT - ago
    found = RunStatus(
        id=UUID(int=number),
        number=number,
        window_start=planned - TICK,
        window_end=planned,
        progressed_at=planned + timedelta(minutes=1),
        finished_at=planned + timedelta(minutes=1),
        absorbed=False,
        chains=1,
        users=1000,
        pages=2,
        work=work(),
        freshness=Freshness(1000, 910, Histogram((3600.0, 7200.0), (10, 900, 0), 6e6)),
        arms=(Arm("all-MiniLM-L6-v2", 900, "baseline@1", None),),
    )
    return replace(found, **changes)


HALF_AN_HOUR = timedelta(minutes=30)
RUNS = tuple(run(3 - at, HALF_AN_HOUR + at * TICK) for at in range(3))
HEALTHY = Status(
    at=AT,
    runs=RUNS,
    totals=Totals(3, 0, work(), hits=90, misses=9, troubles=1),
    backlog=Backlog(5, 0, 100_000),
    failures=(),
    failed_pages=(),
    queue=Queue(
        None,
        Schedule("0 */2 * * *", paused=False, last=AT - HALF_AN_HOUR, next=AT + TICK),
        dead_letters=0,
    ),
    keyspace=Keyspace(None, 900, 100),
)
