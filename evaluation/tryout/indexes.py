"""Which of the indexes that the functions want a platform lacks."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from evaluation.live import Sample, Session

FILE = Path(__file__).parents[2] / "db" / "indexes.sql"

MEASURED = re.compile(r"(\d+) in use")
STATEMENT = re.compile(
    r"CREATE INDEX CONCURRENTLY IF NOT EXISTS (\w+)\s+ON (\w+) \(([\w, ]+)\) INCLUDE \(([\w, ]+)\);"
)

# Any index that begins with the keys and holds the rest will do, whatever it is called.
THERE = """
SELECT
  i.indrelid::BIGINT AS relation,
  i.indisunique AND i.indnkeyatts = 1 AS identifies,
  ARRAY(
    SELECT coalesce(a.attname::TEXT, '')
    FROM unnest(i.indkey::SMALLINT[]) WITH ORDINALITY AS key (number, place)
    LEFT JOIN pg_catalog.pg_attribute AS a
      ON a.attrelid = i.indrelid AND a.attnum = key.number AND key.number > 0
    ORDER BY key.place
  ) AS columns
FROM pg_catalog.pg_index AS i
JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_am AS m ON m.oid = c.relam AND m.amname = 'btree'
WHERE i.indrelid = ANY ($1::BIGINT[]::OID[]) AND i.indisvalid AND i.indpred IS NULL
"""


@dataclass(frozen=True)
class Index:
    """An index of db/indexes.sql; `bytes`: what a row takes in it."""

    name: str
    table: str
    keys: tuple[str, ...]
    included: tuple[str, ...]
    bytes: int


@dataclass(frozen=True)
class Indexes:
    """What is there and what is not.

    `missing`: each with the bytes it would take; `views`: tables that are views, which cannot have
    one; `bare`: tables without any index on the id by which rows are looked up; `referable`:
    whether a foreign key can name `users (id)`.
    """

    missing: Mapping[Index, int]
    views: tuple[str, ...]
    bare: tuple[str, ...]
    referable: bool


def wanted() -> tuple[Index, ...]:
    """Return the indexes of db/indexes.sql, with the sizes that its comments say were measured."""
    found = []
    for paragraph in FILE.read_text(encoding="utf-8").split("\n\n"):
        statement, measured = STATEMENT.search(paragraph), MEASURED.search(paragraph)
        if statement and measured:
            name, table, keys, included = statement.groups()
            columns = (tuple(keys.split(", ")), tuple(included.split(", ")))
            found.append(Index(name, table, *columns, int(measured[1])))
    return tuple(found)


async def find_indexes(session: Session, sample: Sample) -> Indexes:
    """Look in the catalogue for the indexes that are wanted on the platform's tables."""
    tables = sample.tables
    found = await session.fetch("the catalogue", THERE, [one.oid for one in tables.values()])
    there = {
        name: [row for row in found if row["relation"] == table.oid]
        for name, table in tables.items()
    }
    rows = {
        "action_log": max(tables["action_log"].rows, sample.log.actions),
        "post_embeddings": sample.embedded,
    }
    views = tuple(name for name, table in tables.items() if table.view)
    lacking = {
        index: index.bytes * rows[index.table]
        for index in wanted()
        if index.table not in views
        and not any(_serves(row["columns"], index) for row in there[index.table])
    }
    lookups = {"users": "id", "posts": "id", "post_embeddings": "post_id"}
    return Indexes(
        lacking,
        views,
        tuple(
            name
            for name, column in lookups.items()
            if name not in views and not any(row["columns"][0] == column for row in there[name])
        ),
        any(row["identifies"] and row["columns"][0] == "id" for row in there["users"]),
    )


def _serves(columns: list[str], index: Index) -> bool:
    return tuple(columns[: len(index.keys)]) == index.keys and {*index.included} <= {*columns}
