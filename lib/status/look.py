"""A look at how the system is doing: a few statements, two questions to QStash, one to Redis."""

import asyncio
from collections.abc import Mapping

from lib.errors import Unavailable
from lib.qstash.account import Account
from lib.status import keyspace
from lib.status.arms import Names, arm
from lib.status.histogram import Histogram
from lib.status.services import Services
from lib.status.status import (
    Arm,
    Backlog,
    FailedPage,
    Failure,
    Freshness,
    Outcomes,
    Phases,
    Queue,
    RunStatus,
    Schedule,
    Status,
    Totals,
    Work,
)
from lib.store import overview
from lib.store.figures import AGE_BOUNDS
from lib.store.overview import RunRow
from lib.store.results import DRIFT_BOUNDS

RUNS = 24
COUNTED = 100_000
LATEST = 1000
SHOWN = 20

OUTCOMES = tuple(Outcomes.__dataclass_fields__)
PHASES = tuple(Phases.__dataclass_fields__)

MADE = "vectors "

type Amounts = Mapping[str, float]


async def look(services: Services) -> Status:
    """Read all there is to know; raise Unavailable where Postgres is.

    Trouble of QStash's and Redis's is in the status. None of it grows with the users there are.
    """
    asking = asyncio.gather(_ask(services.account), keyspace.ask(services.cache))
    try:
        async with services.database.connection() as connection:
            runs = await overview.read_runs(connection, RUNS)
            totals = await overview.read_totals(connection)
            waiting = await overview.read_waiting(connection, COUNTED)
            failures = await overview.read_failures(connection, LATEST, SHOWN)
            failed_pages = await overview.read_failed_pages(connection, SHOWN)
    except BaseException:
        asking.cancel()
        raise
    queue, counted = await asking
    return Status(
        at=waiting.at,
        runs=tuple(_run(row, services.arms) for row in runs),
        totals=_totals(totals),
        backlog=Backlog(waiting.due, waiting.failing, COUNTED),
        failures=tuple(Failure(one.kind, one.users, one.latest, one.example) for one in failures),
        failed_pages=tuple(
            FailedPage(one.run, one.page, one.status, one.failed_at) for one in failed_pages
        ),
        queue=queue,
        keyspace=counted,
    )


async def _ask(account: Account) -> Queue:
    try:
        found, dead = await asyncio.gather(account.ticking(), account.dead_letters())
    except Unavailable as trouble:
        return Queue(str(trouble), None, None)
    if found is None:
        return Queue(None, None, dead)
    return Queue(None, Schedule(found.cron, found.paused, found.last, found.next), dead)


def _run(row: RunRow, names: Names) -> RunStatus:
    amounts = row.amounts
    age = _histogram(amounts, "age", AGE_BOUNDS)
    return RunStatus(
        id=row.id,
        number=row.number,
        window_start=row.window_start,
        window_end=row.window_end,
        progressed_at=row.progressed_at,
        finished_at=row.finished_at,
        absorbed=row.absorbed,
        chains=row.chains,
        users=row.users,
        pages=row.pages,
        work=_work(amounts, row.pages_done),
        freshness=Freshness(_whole(amounts, "surveyed"), age.count, age),
        arms=_arms(amounts, names),
    )


def _totals(amounts: Amounts) -> Totals:
    return Totals(
        finished=_whole(amounts, "finished"),
        absorbed=_whole(amounts, "absorbed"),
        work=_work(amounts, _whole(amounts, "pages")),
        hits=_whole(amounts, "cache hit"),
        misses=_whole(amounts, "cache miss"),
        troubles=_whole(amounts, "cache trouble"),
    )


def _work(amounts: Amounts, pages: int) -> Work:
    return Work(
        pages=pages,
        outcomes=Outcomes(**{name: _whole(amounts, name) for name in OUTCOMES}),
        phases=Phases(**{name: amounts.get(f"seconds {name}", 0.0) for name in PHASES}),
        retries=_whole(amounts, "retries"),
        repeats=_whole(amounts, "repeats"),
        unknown_actions=_whole(amounts, "unknown_actions"),
        unusable_posts=_whole(amounts, "unusable_posts"),
        failed_pages=_whole(amounts, "failed pages"),
        drift=_histogram(amounts, "drift", DRIFT_BOUNDS),
    )


def _arms(amounts: Amounts, names: Names) -> tuple[Arm, ...]:
    made = {name.removeprefix(MADE): n for name, n in amounts.items() if name.startswith(MADE)}
    return tuple(arm(label, round(vectors), names) for label, vectors in sorted(made.items()))


def _histogram(amounts: Amounts, name: str, bounds: tuple[float, ...]) -> Histogram:
    counts = (_whole(amounts, f"{name} {place}") for place in range(len(bounds) + 1))
    return Histogram(bounds, tuple(counts), amounts.get(f"{name} total", 0.0))


def _whole(amounts: Amounts, name: str) -> int:
    return round(amounts.get(name, 0.0))
