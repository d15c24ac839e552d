"""Runs: whom a tick found due, cut into pages."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from lib.store.database import Connection

PLAN_SECONDS = 120.0

CLOCK = """
SELECT clock_timestamp()
"""


async def clock(connection: Connection) -> datetime:
    """Return the database's time, the only one that data is measured by."""
    now: datetime = await connection.fetchval(CLOCK)
    return now


PLAN_LOCK = """
SELECT pg_advisory_xact_lock(hashtextextended('user-embeddings plan', 0))
"""


async def lock_planning(connection: Connection) -> None:
    """Wait until nobody else plans, and keep it so until the transaction ends."""
    await connection.execute(PLAN_LOCK)


@dataclass(frozen=True)
class Run:
    """One run: its window, how far it is, into how many chains and pages it was cut."""

    id: UUID
    window_start: datetime
    window_end: datetime
    progressed_at: datetime
    finished: bool
    chains: int
    users: int
    pages: int


OPEN_RUN = """
SELECT id, window_start, window_end, progressed_at, finished_at IS NOT NULL AS finished, chains,
  users, pages
FROM embedding.runs
WHERE finished_at IS NULL
FOR UPDATE
"""


async def lock_open_run(connection: Connection) -> Run | None:
    """Return the open run and hold its row, so that no page closes until the transaction ends."""
    row = await connection.fetchrow(OPEN_RUN)
    return Run(**row) if row else None


RUN = """
SELECT id, window_start, window_end, progressed_at, finished_at IS NOT NULL AS finished, chains,
  users, pages
FROM embedding.runs
WHERE id = $1
"""


async def find_run(connection: Connection, run: UUID) -> Run | None:
    """Return the run, or None if there never was one of this id."""
    row = await connection.fetchrow(RUN, run)
    return Run(**row) if row else None


PLANNED_UNTIL = """
SELECT window_end
FROM embedding.runs
WHERE window_end <= $1
ORDER BY number DESC
LIMIT 1
"""


async def planned_until(connection: Connection, now: datetime) -> datetime | None:
    """Return until when actions have been planned for; None before the first run.

    A window that ends in the future was planned by a clock that was ahead, and proves nothing.
    """
    end: datetime | None = await connection.fetchval(PLANNED_UNTIL, now)
    return end


ABSORB = """
UPDATE embedding.runs SET finished_at = clock_timestamp(), absorbed = true WHERE id = $1
"""


async def absorb(connection: Connection, run: UUID) -> None:
    """Close a run that is not finished; `plan_users` takes over what is left of it."""
    await connection.execute(ABSORB, run)


PLAN_USERS = """
WITH leftover AS (
  DELETE FROM embedding.run_users WHERE run_id = $1 RETURNING user_id, remake
),
due AS (
  DELETE FROM embedding.due RETURNING user_id, reason
),
member AS (
  SELECT user_id, bool_or(remake) AS remake
  FROM (
    SELECT DISTINCT user_id, false AS remake
    FROM action_log
    WHERE created_at >= $2::TIMESTAMPTZ AND created_at < $3::TIMESTAMPTZ
    UNION ALL
    SELECT user_id, reason IN ('retraction', 'deleted_action', 'deleted_post') FROM due
    UNION ALL
    SELECT user_id, remake FROM leftover
  ) AS candidate
  GROUP BY user_id
)
INSERT INTO embedding.run_users (run_id, page, user_id, remake)
SELECT $4, (row_number() OVER (ORDER BY user_id) - 1) / $5::BIGINT, user_id, remake
FROM member
"""

INSERT_RUN = """
INSERT INTO embedding.runs (
  id, window_start, window_end, progressed_at, finished_at, chains, users, pages
)
VALUES ($1, $2, $3, $3, CASE WHEN $5::BIGINT = 0 THEN clock_timestamp() END, $4, $5, $6)
"""


async def create_run(
    connection: Connection,
    window: tuple[datetime, datetime],
    absorbed: UUID | None,
    page_size: int,
    chains: int,
) -> Run:
    """Write a run and its work list: the active, the due, and those left of the absorbed run.

    An empty list makes a run that is finished at once.
    """
    run, (start, end) = uuid4(), window
    done = await connection.execute(
        PLAN_USERS, absorbed, start, end, run, page_size, timeout=PLAN_SECONDS
    )
    users = int(done.rpartition(" ")[2])
    pages = -(-users // page_size)
    await connection.execute(INSERT_RUN, run, start, end, chains, users, pages)
    return Run(run, start, end, end, users == 0, chains, users, pages)
