"""The platform's four tables, as the catalogue knows them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import asyncpg

from evaluation.live.session import Session, Trouble

TEXT = ("text", "varchar")
ANY: tuple[str, ...] = ()

WANTED: Mapping[str, Mapping[str, Sequence[str]]] = {
    "users": {"id": ("uuid",)},
    "posts": {"id": ("uuid",), "created_at": ("timestamptz",)},
    "post_embeddings": {
        "post_id": ("uuid",),
        "embedding": ("vector",),
        "model_version": TEXT,
        "updated_at": ("timestamptz",),
    },
    "action_log": {
        "id": ANY,
        "user_id": ("uuid",),
        "post_id": ("uuid",),
        "action_type": TEXT,
        "created_at": ("timestamptz",),
    },
}
"""What the functions read of each, and the types that it may have."""

RELATIONS = """
SELECT
  wanted.name,
  c.oid::BIGINT AS oid,
  c.relkind IN ('v', 'm') AS view,
  greatest(c.reltuples, 0)::BIGINT AS rows,
  row_security_active(c.oid) AS hidden,
  current_user::TEXT AS role
FROM unnest($1::TEXT[]) AS wanted (name)
LEFT JOIN pg_catalog.pg_class AS c
  ON c.oid = to_regclass(wanted.name) AND c.relkind IN ('r', 'p', 'f', 'v', 'm')
"""

COLUMNS = """
SELECT
  a.attrelid::BIGINT AS relation,
  a.attname::TEXT AS name,
  t.typname::TEXT AS type,
  has_column_privilege(a.attrelid, a.attnum, 'SELECT') AS readable
FROM pg_catalog.pg_attribute AS a
JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
WHERE a.attrelid = ANY ($1::BIGINT[]::OID[]) AND a.attnum > 0 AND NOT a.attisdropped
"""


@dataclass(frozen=True)
class Relation:
    """A table or view. `rows`: about how many, 0 if unknown; `hidden`: row security is on."""

    name: str
    oid: int
    view: bool
    rows: int
    hidden: bool


async def find_tables(session: Session) -> Mapping[str, Relation]:
    """Find the four tables; raise Trouble that says all that is missing or wrong about them."""
    found = await session.fetch("the catalogue", RELATIONS, list(WANTED))
    there = [row for row in found if row["oid"] is not None]
    columns = await session.fetch("the catalogue", COLUMNS, [row["oid"] for row in there])
    faults = [
        f"{row['name']}: no such table or view is in sight" for row in found if row["oid"] is None
    ]
    for row in there:
        mine = [column for column in columns if column["relation"] == row["oid"]]
        faults += _faults(row["name"], row["role"], mine)
    if faults:
        raise Trouble(
            "\n  ".join(["expected the tables of db/platform.sql, or views of them:", *faults])
            + '\nREADME, "Tables with other names", shows the views that help with names and types.'
        )
    return {
        row["name"]: Relation(row["name"], row["oid"], row["view"], row["rows"], row["hidden"])
        for row in there
    }


def _faults(table: str, role: str, columns: list[asyncpg.Record]) -> Iterator[str]:
    found = {column["name"]: column for column in columns}
    wanted = WANTED[table]
    for name, types in wanted.items():
        if name not in found:
            yield f"{table}.{name}: no such column, expected {' or '.join(types) or 'one'}"
        elif types and found[name]["type"] not in types:
            yield f"{table}.{name}: expected {' or '.join(types)}, got {found[name]['type']}"
    if not all(found[name]["readable"] for name in wanted if name in found):
        yield f"{table}: the role {role} may not read it: GRANT SELECT ON {table} TO {role}"
