"""Time that passes for a database, without anybody waiting."""

from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asyncpg import Connection

AGE_RUNS = """
UPDATE embedding.runs
SET window_start = window_start - $1::INTERVAL, window_end = window_end - $1::INTERVAL,
  progressed_at = progressed_at - $1::INTERVAL, finished_at = finished_at - $1::INTERVAL
"""


async def age_runs(connection: "Connection[Any]", seconds: float) -> None:
    """Let the database look as if its runs had been planned, and had progressed, so long ago."""
    await connection.execute(AGE_RUNS, timedelta(seconds=seconds))
