"""What status and metrics are made of: sums that others left, never a scan of what grows."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from lib.store.database import Connection
from lib.store.rows import every

RUNS = """
SELECT id, number, window_start, window_end, progressed_at, finished_at, absorbed, chains, users,
  pages, pages_done
FROM embedding.runs
ORDER BY number DESC
LIMIT $1::INTEGER
"""

RUN_AMOUNTS = """
SELECT run_id, name, amount::FLOAT8 AS amount
FROM embedding.run_counts
WHERE run_id = ANY ($1::UUID[])
UNION ALL
SELECT run_id, name, amount
FROM embedding.run_figures
WHERE run_id = ANY ($1::UUID[])
UNION ALL
SELECT run_id, 'failed pages', count(*)
FROM embedding.failed_pages
WHERE run_id = ANY ($1::UUID[])
GROUP BY run_id
"""


@dataclass(frozen=True)
class RunRow:
    """One run as it is kept, with its sums by name."""

    id: UUID
    number: int
    window_start: datetime
    window_end: datetime
    progressed_at: datetime
    finished_at: datetime | None
    absorbed: bool
    chains: int
    users: int
    pages: int
    pages_done: int
    amounts: Mapping[str, float]


async def read_runs(connection: Connection, most: int) -> tuple[RunRow, ...]:
    """Return the newest runs, the newest first."""
    rows = await connection.fetch(RUNS, most)
    amounts: dict[UUID, dict[str, float]] = {row["id"]: {} for row in rows}
    for row in await connection.fetch(RUN_AMOUNTS, list(amounts)):
        amounts[row["run_id"]][row["name"]] = row["amount"]
    return tuple(RunRow(**row, amounts=amounts[row["id"]]) for row in rows)


# One statement, and so one snapshot: a run that is folded meanwhile counts once.
TOTALS = """
SELECT name, sum(amount)::FLOAT8 AS amount
FROM (
  SELECT name, amount FROM embedding.totals
  UNION ALL
  SELECT part.name, part.amount
  FROM embedding.runs
  CROSS JOIN LATERAL (
    SELECT name, amount::FLOAT8 FROM embedding.run_counts WHERE run_id = runs.id
    UNION ALL
    SELECT name, amount FROM embedding.run_figures WHERE run_id = runs.id
    UNION ALL
    SELECT 'failed pages', count(*) FROM embedding.failed_pages WHERE run_id = runs.id
    UNION ALL
    SELECT 'pages', pages_done
    UNION ALL
    SELECT CASE WHEN absorbed THEN 'absorbed' ELSE 'finished' END, 1 WHERE finished_at IS NOT NULL
  ) AS part (name, amount)
  WHERE NOT folded
) AS every
GROUP BY name
"""


async def read_totals(connection: Connection) -> Mapping[str, float]:
    """Return every sum since the beginning, by name."""
    return {row["name"]: row["amount"] for row in await connection.fetch(TOTALS)}


@dataclass(frozen=True)
class Waiting:
    """What waits, each counted up to a bound, `at` the database's time."""

    at: datetime
    due: int
    failing: int


WAITING = """
SELECT
  statement_timestamp() AS at,
  (SELECT count(*) FROM (SELECT FROM embedding.due LIMIT $1::BIGINT) AS counted) AS due,
  (SELECT count(*) FROM (SELECT FROM embedding.failures LIMIT $1::BIGINT) AS counted) AS failing
"""


async def read_waiting(connection: Connection, most: int) -> Waiting:
    """Return what waits, each counted up to `most`."""
    [row] = await connection.fetch(WAITING, most)
    return Waiting(**row)


@dataclass(frozen=True)
class FailureKind:
    """One kind of error among the latest failures."""

    kind: str
    users: int
    latest: datetime
    example: str


FAILURES = """
SELECT
  kind,
  count(*) AS users,
  max(failed_at) AS latest,
  (array_agg(reason ORDER BY failed_at DESC))[1] AS example
FROM (
  SELECT split_part(reason, ':', 1) AS kind, reason, failed_at
  FROM embedding.failures
  ORDER BY failed_at DESC
  LIMIT $1::INTEGER
) AS latest
GROUP BY kind
ORDER BY users DESC, kind
LIMIT $2::INTEGER
"""


async def read_failures(connection: Connection, latest: int, kinds: int) -> tuple[FailureKind, ...]:
    """Return the commonest kinds of error among the latest failures."""
    return every(FailureKind, await connection.fetch(FAILURES, latest, kinds))


@dataclass(frozen=True)
class FailedPageRow:
    """A page that QStash gave up on, with its run's number."""

    run: int
    page: int
    status: int | None
    failed_at: datetime


FAILED_PAGES = """
SELECT runs.number AS run, page, status, failed_at
FROM embedding.failed_pages
JOIN embedding.runs ON runs.id = run_id
ORDER BY failed_at DESC
LIMIT $1::INTEGER
"""


async def read_failed_pages(connection: Connection, most: int) -> tuple[FailedPageRow, ...]:
    """Return the pages that QStash gave up on, the latest first."""
    return every(FailedPageRow, await connection.fetch(FAILED_PAGES, most))
