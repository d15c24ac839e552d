"""What db/schema.sql makes and db/roles.sql grants, for `schedule.py doctor` to compare with.

    python -m dev.catalog

writes lib/doctor/schema.txt.
"""

import asyncio
from pathlib import Path

import asyncpg

from dev.postgres import Postgres
from dev.stack import ROOT, SQL

FILE = ROOT / "lib" / "doctor" / "schema.txt"
ROLE = "user_embeddings_log"

LINES = """
WITH ours AS (
  SELECT
    pg_class.oid,
    CASE nspname WHEN 'embedding' THEN 'embedding.' ELSE '' END || relname AS name
  FROM pg_class
  JOIN pg_namespace ON pg_namespace.oid = relnamespace
  WHERE relkind = 'r' AND (nspname = 'embedding' OR relname = 'user_embeddings')
),
needed AS (
  SELECT * FROM ours
  UNION ALL
  SELECT to_regclass(name)::OID, name
  FROM unnest(ARRAY['users', 'posts', 'post_embeddings', 'action_log']) AS name
)
SELECT line FROM (
  SELECT format('column %s.%s %s', name, attname, typname)
  FROM ours
  JOIN pg_attribute ON attrelid = ours.oid AND attnum > 0 AND NOT attisdropped
  JOIN pg_type ON pg_type.oid = atttypid
  UNION ALL
  SELECT format('function %s', proname)
  FROM pg_proc
  WHERE pronamespace = 'embedding'::REGNAMESPACE
  UNION ALL
  SELECT format('right %s %s', name, privilege)
  FROM needed
  CROSS JOIN unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS privilege
  WHERE has_table_privilege($1, needed.oid, privilege)
) AS found (line)
ORDER BY line
"""


async def lines(url: str) -> str:
    """Return the catalogue of a fresh database, a line each."""
    connection = await asyncpg.connect(url, timeout=10, command_timeout=30)
    try:
        rows = await connection.fetch(LINES, ROLE)
    finally:
        await connection.close()
    return "".join(f"{row['line']}\n" for row in rows)


async def _write(postgres: Postgres, file: Path) -> None:
    url = await postgres.create("catalog")
    await postgres.apply("catalog", *SQL)
    file.write_text(await lines(url))  # noqa: ASYNC240  # a command that does nothing else


if __name__ == "__main__":
    with Postgres.start() as server:
        asyncio.run(_write(server, FILE))
