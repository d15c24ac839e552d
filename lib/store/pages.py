"""The work list: who is left to do on which page of a run."""

from dataclasses import dataclass
from uuid import UUID

from lib.store.database import Connection
from lib.store.runs import Run


@dataclass(frozen=True)
class Member:
    """A user on the work list; `remake`: the vector is made anew from however little is left."""

    user: UUID
    remake: bool


PAGE_MEMBERS = """
SELECT user_id, remake
FROM embedding.run_users
WHERE run_id = $1 AND page = $2
ORDER BY user_id
"""


async def page_members(connection: Connection, run: UUID, page: int) -> list[Member]:
    """Return who is left to do on a page, in the order of their ids."""
    rows = await connection.fetch(PAGE_MEMBERS, run, page)
    return [Member(row["user_id"], row["remake"]) for row in rows]


LOWEST_PAGES = """
SELECT lowest.page
FROM generate_series(0, $2::INTEGER - 1) AS chain
CROSS JOIN LATERAL (
  SELECT page
  FROM embedding.run_users
  WHERE run_id = $1 AND page % $2::INTEGER = chain
  ORDER BY page
  LIMIT 1
) AS lowest
"""


async def lowest_pages(connection: Connection, run: Run) -> list[int]:
    """Return each chain's lowest page with work; nothing for a chain that is through."""
    rows = await connection.fetch(LOWEST_PAGES, run.id, run.chains)
    return [row["page"] for row in rows]


NEXT_PAGE = """
SELECT page
FROM embedding.run_users
WHERE run_id = $1 AND page > $2 AND page % $3::INTEGER = $2::INTEGER % $3::INTEGER
ORDER BY page
LIMIT 1
"""


async def next_page(connection: Connection, run: Run, page: int) -> int | None:
    """Return the lowest page with work above this one in its chain."""
    following: int | None = await connection.fetchval(NEXT_PAGE, run.id, page, run.chains)
    return following


FAILED_PAGE = """
INSERT INTO embedding.failed_pages (run_id, page, status) VALUES ($1, $2, $3)
ON CONFLICT (run_id, page) DO UPDATE SET status = excluded.status, failed_at = clock_timestamp()
"""


async def record_failed_page(
    connection: Connection, run: UUID, page: int, status: int | None
) -> None:
    """Remember that QStash gave up on a page, and with which answer."""
    await connection.execute(FAILED_PAGE, run, page, status)
