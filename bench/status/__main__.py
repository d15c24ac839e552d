"""`python -m bench.status`: how long the status page takes beside a million vectors."""

import argparse
import asyncio
import statistics
import time

import asyncpg

from dev.postgres import Postgres
from dev.stack import SQL
from lib.page.status_page import status_page
from lib.qstash.account import Account
from lib.settings import DatabaseSettings, QueueSettings
from lib.status.look import look
from lib.status.services import Services
from lib.store.database import Database

TIMES = 30
TARGET_MS = 50.0
NOWHERE = QueueSettings("http://127.0.0.1:1", "token", "https://app.example", None)

FILL = """
INSERT INTO users SELECT gen_random_uuid() FROM generate_series(1, $1::INTEGER)
"""

VECTORS = """
INSERT INTO user_embeddings (user_id, embedding, model_version)
SELECT id, array_fill(1.0::FLOAT4, '{384}')::vector, 'm' FROM users
"""

RUNS = """
INSERT INTO embedding.runs (
  id, window_start, window_end, progressed_at, finished_at, chains, users, pages, folded
)
SELECT gen_random_uuid(), ended, ended, ended, nullif(ended, now()), 4, $1::INTEGER, 2000, n > 2
FROM generate_series(0, 360) AS n, LATERAL (SELECT now() - n * INTERVAL '2 hours' AS ended) AS end_
ORDER BY n DESC
"""

FIGURES = """
INSERT INTO embedding.run_figures (run_id, name, amount)
SELECT id, 'age ' || n, n FROM embedding.runs, generate_series(0, 40) AS n
"""

WORK = """
INSERT INTO embedding.run_users (run_id, page, user_id, remake)
SELECT (SELECT id FROM embedding.runs WHERE finished_at IS NULL), row_number() OVER () / 500, id,
  false
FROM users
"""

DUE = """
INSERT INTO embedding.due (user_id, reason) SELECT id, 'rebuild' FROM users
"""

FAILED = """
INSERT INTO embedding.failures (user_id, reason, attempts, run_id, failed_at)
SELECT id, 'DataError: made up', 1, id, now() FROM users
"""


async def measure(server: Postgres, users: int) -> list[float]:
    """Fill a database as nobody would like to see it; return what each page took (ms)."""
    url = await server.create("status")
    await server.apply("status", *SQL)
    connection = await asyncpg.connect(url)
    await connection.execute(FILL, users)
    for statement in (VECTORS, FIGURES, WORK, DUE, FAILED):
        if statement is FIGURES:
            await connection.execute(RUNS, users)
        await connection.execute(statement)
    await connection.execute("VACUUM ANALYZE")
    await connection.close()
    services = Services(
        Database(DatabaseSettings(url, pooled=True)), Account(NOWHERE), None, arms={}
    )
    took = []
    for _ in range(TIMES + 1):
        begun = time.perf_counter()
        status_page(await look(services), {})
        took.append(1000 * (time.perf_counter() - begun))
    await services.close()
    return took[1:]  # the first connects


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(prog="bench.status", description=__doc__)
    parser.add_argument("--users", type=int, default=1_000_000, help="(%(default)s)")
    users = parser.parse_args().users
    with Postgres.start() as server:
        took = asyncio.run(measure(server, users))
    print(f"the status page beside {users:,} vectors, as many users due and failing, and 361 runs")  # noqa: T201
    print(f"median {statistics.median(took):.1f} ms, slowest {max(took):.1f} ms")  # noqa: T201
    print(f"target: {TARGET_MS:.0f} ms")  # noqa: T201


if __name__ == "__main__":
    main()
