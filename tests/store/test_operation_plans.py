"""Looking at how it goes, and tidying up, read so many rows however many there are."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import asyncpg
import pytest

from dev.postgres import Postgres
from lib.store import overview, retention
from tests.store.large import filled_once, lent
from tests.store.test_query_plans import nodes

NAME = "operation_plans"
SMALL = {"totals", "rebuilds"}
"""Tables that hold a row for each name, or for each time that somebody typed a command."""

FILL = """
INSERT INTO users SELECT gen_random_uuid() FROM generate_series(1, 30000);
INSERT INTO user_embeddings (user_id, embedding, model_version)
  SELECT id, array_fill(1.0::FLOAT4, '{384}')::vector, 'm' FROM users LIMIT 20000;
INSERT INTO embedding.runs (
  id, window_start, window_end, progressed_at, finished_at, chains, users, pages, folded
)
  SELECT gen_random_uuid(), ended, ended, ended, nullif(ended, now()), 4, 1000, 20, n > 150
  FROM generate_series(0, 1999) n, LATERAL (SELECT now() - n * INTERVAL '2 hours' AS ended) AS end_
  ORDER BY n DESC;
INSERT INTO embedding.run_counts
  SELECT id, 'count ' || n, n FROM embedding.runs, generate_series(1, 10) n;
INSERT INTO embedding.run_figures
  SELECT id, 'figure ' || n, n FROM embedding.runs, generate_series(1, 40) n;
INSERT INTO embedding.failed_pages (run_id, page, status, failed_at)
  SELECT id, n, 503, window_end FROM embedding.runs, generate_series(1, 10) n;
INSERT INTO embedding.run_users
  SELECT runs.id, row_number() OVER () / 500, users.id, false
  FROM users CROSS JOIN (SELECT id FROM embedding.runs ORDER BY number DESC LIMIT 1) AS runs;
INSERT INTO embedding.totals SELECT 'count ' || n, n FROM generate_series(1, 60) n;
INSERT INTO embedding.due SELECT id, 'rebuild' FROM users;
INSERT INTO embedding.failures
  SELECT id, 'DataError: made up', 1, id, now() - random() * INTERVAL '60 days' FROM users;
INSERT INTO embedding.rebuilds (finished_at)
  SELECT now() - n * INTERVAL '1 day' FROM generate_series(1, 60) n;
INSERT INTO embedding.showings
  SELECT gen_random_uuid(), id, 'm', now() - random() * INTERVAL '60 days' FROM users;
INSERT INTO embedding.impressions (rec_id, post_id, position)
  SELECT rec_id, gen_random_uuid(), n FROM embedding.showings, generate_series(1, 3) n;
INSERT INTO embedding.responses
  SELECT rec_id, post_id, 'like_post', now() FROM embedding.impressions WHERE position = 1;
INSERT INTO embedding.events
  SELECT uuid_send(id), 'event', id, now() - random() * INTERVAL '14 days' FROM users;
"""

RECENT = """
UPDATE embedding.runs SET window_end = now() WHERE window_end < now() - INTERVAL '29 days';
UPDATE embedding.failures SET failed_at = now() WHERE failed_at < now() - INTERVAL '29 days';
UPDATE embedding.showings SET shown_at = now() WHERE shown_at < now() - INTERVAL '29 days';
UPDATE embedding.events SET came_at = now() WHERE came_at < now() - INTERVAL '6 days';
"""


@pytest.fixture(scope="module")
def large(postgres: Postgres, template: str) -> Iterator[str]:
    """Fill a database once, as if nothing had been pruned for months; take statistics of it."""
    with filled_once(postgres, template, NAME, FILL) as url:
        yield url


@pytest.fixture
async def filled(large: str) -> AsyncIterator[asyncpg.Connection]:
    """Lend the large database; what a test does to it is rolled back."""
    async with lent(large) as connection:
        yield connection


async def newest(connection: asyncpg.Connection) -> list[object]:
    rows = await connection.fetch("SELECT id FROM embedding.runs ORDER BY number DESC LIMIT 24")
    return [[row["id"] for row in rows]]


def most(*numbers: int) -> Callable[[asyncpg.Connection], Awaitable[list[object]]]:
    async def arguments(_: asyncpg.Connection) -> list[object]:
        return list(numbers)

    return arguments


@dataclass(frozen=True)
class Case:
    """A statement with what it is given, and how many rows of all tables it may read.

    `begun`: tables that it reads from their beginning, up to a limit.
    """

    statement: str
    arguments: Callable[[asyncpg.Connection], Awaitable[list[object]]]
    rows: int
    begun: frozenset[str] = frozenset()


# A run has 10 counts, 40 figures and 10 failed pages here, and 151 runs are not folded.
CASES = {
    "runs": Case(overview.RUNS, most(24), 24),
    "what runs came to": Case(overview.RUN_AMOUNTS, newest, 24 * 60),
    "totals": Case(overview.TOTALS, most(), 60 + 151 * 61),
    "what waits": Case(overview.WAITING, most(1000), 2000, begun=frozenset({"due", "failures"})),
    "failures": Case(overview.FAILURES, most(1000, 20), 1000),
    "failed pages": Case(overview.FAILED_PAGES, most(20), 2 * 20),
    "folding": Case(retention.FOLD, most(100), 2 * 100 + 100 * 60),
    "pruning runs": Case(retention.PRUNE_RUNS, most(100), 2 * 100 + 1),
    "pruning failures": Case(retention.PRUNE_FAILURES, most(500), 2 * 500),
    "pruning rebuilds": Case(retention.PRUNE_REBUILDS, most(500), 2 * 60),
    "pruning showings": Case(retention.PRUNE_SHOWINGS, most(500), 2 * 500),
    "pruning events": Case(retention.PRUNE_EVENTS, most(500), 2 * 500),
}


async def scans(connection: asyncpg.Connection, case: Case) -> list[dict[str, Any]]:
    """Run the statement; return what of its plan read tables or indexes."""
    said = await connection.fetchval(
        "EXPLAIN (ANALYZE, FORMAT JSON) " + case.statement, *await case.arguments(connection)
    )
    found = nodes(json.loads(said)[0]["Plan"])
    return [node for node in found if node["Node Type"].endswith("Scan") and "Actual Rows" in node]


def rows(scan: dict[str, Any]) -> float:
    """Return how many rows a part of a plan read of a table, also those it then left out."""
    if "Relation Name" not in scan:
        return 0
    left_out = scan.get("Rows Removed by Filter", 0) + scan.get("Rows Removed by Index Recheck", 0)
    return (scan["Actual Rows"] + left_out) * scan["Actual Loops"]


def whole(found: list[dict[str, Any]], case: Case) -> set[str]:
    """Return the tables that were read from end to end, small ones left out."""
    read = {scan["Relation Name"] for scan in found if scan["Node Type"] == "Seq Scan"}
    return read - SMALL - case.begun


@pytest.mark.parametrize("name", CASES)
async def test_statement_reads_so_many_rows_by_index(filled: asyncpg.Connection, name: str):
    case = CASES[name]
    found = await scans(filled, case)
    assert whole(found, case) == set()
    assert sum(map(rows, found)) <= case.rows, [(s.get("Relation Name"), rows(s)) for s in found]
    assert "user_embeddings" not in {scan.get("Relation Name") for scan in found}


@pytest.mark.parametrize("name", ["pruning failures", "pruning showings", "pruning events"])
async def test_where_nothing_is_over_pruning_reads_nothing(filled: asyncpg.Connection, name: str):
    await filled.execute(RECENT)
    found = await scans(filled, CASES[name])
    assert whole(found, CASES[name]) == set()
    assert sum(map(rows, found)) == 0


@pytest.mark.parametrize(
    ("name", "dropped", "table"),
    [
        ("failures", "failures_failed", "failures"),
        ("failed pages", "failed_pages_failed", "failed_pages"),
        ("totals", "runs_unfolded", "runs"),
        ("folding", "runs_unfolded", "runs"),
        ("pruning failures", "failures_failed", "failures"),
        ("pruning showings", "showings_shown", "showings"),
        ("pruning events", "events_came", "events"),
    ],
)
async def test_statement_without_its_index_would_be_noticed(
    filled: asyncpg.Connection, name: str, dropped: str, table: str
):
    await filled.execute(f"DROP INDEX embedding.{dropped}")
    case = CASES[name]
    found = await scans(filled, case)
    assert table in whole(found, case) or sum(map(rows, found)) > case.rows


COUNTS = """
SELECT relname, coalesce(seq_tup_read, 0) AS in_order, coalesce(idx_tup_fetch, 0) AS by_index
FROM pg_stat_xact_user_tables
WHERE schemaname IN ('public', 'embedding')
"""


async def counted(connection: asyncpg.Connection) -> dict[str, tuple[int, int]]:
    """Return how many rows of each table this transaction has read: in order, and by an index."""
    return {name: (order, index) for name, order, index in await connection.fetch(COUNTS)}


async def test_what_goes_with_what_is_pruned_is_found_by_index(filled: asyncpg.Connection):
    """Also what foreign keys take along, which no plan shows."""
    before = await counted(filled)
    await retention.fold_runs(filled)
    await retention.prune(filled)
    after = await counted(filled)
    read = {
        name: (order - before[name][0], index - before[name][1])
        for name, (order, index) in after.items()
    }
    assert {name for name, (order, _) in read.items() if order} <= SMALL
    assert read["user_embeddings"] == read["users"] == (0, 0)
    runs, others = retention.RUNS, retention.ROWS
    bounds = {
        **dict.fromkeys(("runs", "failures", "showings", "events"), 4 * others),
        "run_counts": 2 * runs * 10 * 2,
        "run_figures": 2 * runs * 40 * 2,
        "failed_pages": 2 * runs * 10 * 2,
        "impressions": 2 * others * 3,
        "responses": 2 * others,
    }
    over = {name: read[name] for name, bound in bounds.items() if read[name][1] > bound}
    assert not over
    assert read["impressions"][1] > 0, "nothing was counted"
