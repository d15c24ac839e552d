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


NEXT_PAGE = """
WITH RECURSIVE probe AS (
  SELECT (
    SELECT page
    FROM embedding.run_users
    WHERE run_id = $1 AND page > $2::INTEGER
    ORDER BY page
    LIMIT 1
  ) AS page
  UNION ALL
  SELECT (
    SELECT work.page
    FROM embedding.run_users AS work
    WHERE run_id = $1 AND work.page >=
      probe.page + ($4::BIGINT - probe.page % $3::BIGINT + $3::BIGINT) % $3::BIGINT
    ORDER BY work.page
    LIMIT 1
  )
  FROM probe
  WHERE probe.page % $3::BIGINT <> $4::BIGINT
)
SELECT page FROM probe WHERE page % $3::BIGINT = $4::BIGINT
"""


async def next_page(connection: Connection, run: Run, page: int) -> int | None:
    """Return the lowest page with work above this one in its chain.

    It leaps from page to page over those of other chains, and never reads a page's users.
    """
    chain = page % run.chains
    following: int | None = await connection.fetchval(NEXT_PAGE, run.id, page, run.chains, chain)
    return following


async def lowest_pages(connection: Connection, run: Run) -> list[int]:
    """Return each chain's lowest page with work; nothing for a chain that is through."""
    found = [await next_page(connection, run, chain - run.chains) for chain in range(run.chains)]
    return [page for page in found if page is not None]


FAILED_PAGE = """
INSERT INTO embedding.failed_pages (run_id, page, status) VALUES ($1, $2, $3)
ON CONFLICT (run_id, page) DO UPDATE SET status = excluded.status, failed_at = clock_timestamp()
"""


async def record_failed_page(
    connection: Connection, run: UUID, page: int, status: int | None
) -> None:
    """Remember that QStash gave up on a page, and with which answer."""
    await connection.execute(FAILED_PAGE, run, page, status)
