"""Write docs/reliability.md from what the last run of the faults left in .cache/reliability."""

import asyncio
import json
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg

from dev.postgres import Postgres
from dev.reliability.record import read
from dev.reliability.report import Findings, page, untested
from dev.stack import ROOT, SQL

FOLDER = ROOT / ".cache" / "reliability"
PAGE = ROOT / "docs" / "reliability.md"


def main() -> int:
    """Write the page; 1 where a promise did not hold."""
    records = read(FOLDER)
    found = Findings(
        records, _left(FOLDER / "mutants.json"), _left(FOLDER / "fuzz.json"), _conditions()
    )
    PAGE.write_text(page(found))
    # where pgbouncer is not installed, say, or there is no history of the files of db/
    for fault in untested(records):
        print(f"no test made fault {fault.number}: {fault.name}", file=sys.stderr)
    failed = [record for record in records if not record.passed]
    print(
        f"{len(records)} cases, {sum(record.tried for record in records):,} faults made,"
        f" {len(failed)} failed: docs/reliability.md"
    )
    return int(bool(failed))


def _left(file: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(file.read_text()) if file.exists() else []
    return found


def _conditions() -> str:
    with Postgres.start() as server:
        database, vector = asyncio.run(_versions(server))
    return (
        f"Of {datetime.now(UTC):%Y-%m-%d}, with Python {platform.python_version()}, Postgres"
        f" {database}, pgvector {vector}, {platform.system()} on {platform.machine()}."
    )


async def _versions(server: Postgres) -> tuple[str, str]:
    url = await server.create("versions")
    await server.apply("versions", SQL[0])
    connection = await asyncpg.connect(url, timeout=10, command_timeout=10)
    try:
        database: str = await connection.fetchval("SHOW server_version")
        vector: str = await connection.fetchval(
            "SELECT extversion FROM pg_extension WHERE extname = 'vector'"
        )
    finally:
        await connection.close()
    return database, vector


if __name__ == "__main__":
    sys.exit(main())
