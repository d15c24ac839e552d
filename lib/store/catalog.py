"""What a database is made of, as its own catalogue tells: tables, indexes, rights."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from lib.store.database import Connection
from lib.store.rows import every


class Kind(StrEnum):
    """What stands behind a name."""

    TABLE = "table"
    VIEW = "view"
    NOTHING = "nothing"


KINDS = """
SELECT
  named,
  CASE
    WHEN relkind IN ('r', 'p', 'f') THEN 'table' WHEN relkind IN ('v', 'm') THEN 'view'
    ELSE 'nothing'
  END AS kind
FROM unnest($1::TEXT[]) AS named
LEFT JOIN pg_class ON pg_class.oid = to_regclass(named)
"""


async def kinds(connection: Connection, names: Sequence[str]) -> dict[str, Kind]:
    """Return what stands behind each name on the search path."""
    rows = await connection.fetch(KINDS, list(names))
    return {row["named"]: Kind(row["kind"]) for row in rows}


# the type's bare name: pgvector may live in any schema
COLUMNS = """
SELECT named || '.' || attname AS name, typname::TEXT AS kind
FROM unnest($1::TEXT[]) AS named
JOIN pg_attribute ON attrelid = to_regclass(named) AND attnum > 0 AND NOT attisdropped
JOIN pg_type ON pg_type.oid = atttypid
"""


async def columns(connection: Connection, names: Sequence[str]) -> dict[str, str]:
    """Return the types of these relations' columns, by relation.column."""
    rows = await connection.fetch(COLUMNS, list(names))
    return {row["name"]: row["kind"] for row in rows}


FUNCTIONS = """
SELECT proname::TEXT FROM pg_proc WHERE pronamespace = to_regnamespace('embedding')
"""


async def functions(connection: Connection) -> set[str]:
    """Return the names of the functions in our schema."""
    return {row["proname"] for row in await connection.fetch(FUNCTIONS)}


@dataclass(frozen=True)
class Index:
    """An index; `valid` is False of one whose building was interrupted."""

    name: str
    of: str
    columns: tuple[str, ...]
    valid: bool


INDEXES = """
SELECT
  relname::TEXT AS name,
  named AS of,
  ARRAY(
    SELECT attname::TEXT
    FROM unnest(indkey::INT2[]) WITH ORDINALITY AS key (number, place)
    JOIN pg_attribute ON attrelid = indrelid AND attnum = number
    ORDER BY place
  ) AS columns,
  indisvalid AND indisready AS valid
FROM unnest($1::TEXT[]) AS named
JOIN pg_index ON indrelid = to_regclass(named)
JOIN pg_class ON pg_class.oid = indexrelid
ORDER BY name
"""


async def indexes(connection: Connection, names: Sequence[str]) -> tuple[Index, ...]:
    """Return the indexes of these tables."""
    rows = await connection.fetch(INDEXES, list(names))
    return tuple(Index(row["name"], row["of"], tuple(row["columns"]), row["valid"]) for row in rows)


EXTENSION = """
SELECT
  extversion::TEXT AS version,
  nspname::TEXT AS schema,
  has_schema_privilege(pg_namespace.oid, 'USAGE') AS usable
FROM pg_extension
JOIN pg_namespace ON pg_namespace.oid = extnamespace
WHERE extname = 'vector'
"""


@dataclass(frozen=True)
class Extension:
    """pgvector, where it lives, and whether this role may use that schema."""

    version: str
    schema: str
    usable: bool


async def extension(connection: Connection) -> Extension | None:
    return next(iter(every(Extension, await connection.fetch(EXTENSION))), None)


MISSING_RIGHTS = """
SELECT relation || ': ' || privilege AS missing
FROM unnest($1::TEXT[], $2::TEXT[]) AS needed (relation, privilege)
WHERE to_regclass(relation) IS NOT NULL AND NOT coalesce(
  has_table_privilege(to_regclass(relation), privilege), false
)
"""


async def missing_rights(
    connection: Connection, needed: Sequence[tuple[str, str]]
) -> tuple[str, ...]:
    """Return those of these (relation, privilege) that this role does not have."""
    relations, privileges = [name for name, _ in needed], [right for _, right in needed]
    rows = await connection.fetch(MISSING_RIGHTS, relations, privileges)
    return tuple(row["missing"] for row in rows)


EMBEDDING_USABLE = """
SELECT coalesce(has_schema_privilege(to_regnamespace('embedding'), 'USAGE'), true)
"""


async def embedding_usable(connection: Connection) -> bool:
    """Whether this role may use our schema, where it is there."""
    return bool(await connection.fetchval(EMBEDDING_USABLE))


@dataclass(frozen=True)
class Role:
    """Whom we connect as; `excess`: what makes it more than the functions need."""

    name: str
    excess: tuple[str, ...]


ROLE = """
SELECT
  rolname::TEXT AS name,
  array_remove(ARRAY[
    CASE WHEN rolsuper THEN 'a superuser' END,
    CASE WHEN rolbypassrls THEN 'above row level security' END,
    CASE WHEN rolcreaterole THEN 'able to make roles' END,
    CASE WHEN EXISTS (
      SELECT FROM pg_class
      WHERE pg_class.oid = to_regclass('users') AND relowner = pg_roles.oid
    ) THEN 'the owner of users' END
  ], NULL) AS excess
FROM pg_roles
WHERE rolname = current_user
"""


async def role(connection: Connection) -> Role:
    row = await connection.fetchrow(ROLE)
    return Role(row["name"], tuple(row["excess"]))


HIDDEN = """
SELECT named
FROM unnest($1::TEXT[]) AS named
JOIN pg_class ON pg_class.oid = to_regclass(named)
WHERE row_security_active(pg_class.oid)
"""


async def hidden(connection: Connection, names: Sequence[str]) -> tuple[str, ...]:
    """Return those of the relations whose rows row level security may hide from this role."""
    return tuple(row["named"] for row in await connection.fetch(HIDDEN, list(names)))


# Ours, and views of whatever schema that read from ours. PUBLIC is among everybody's roles.
EXPOSED = """
SELECT rolname || ' may read ' || pg_class.oid::REGCLASS::TEXT AS exposed
FROM pg_roles
CROSS JOIN pg_class
WHERE rolname IN ('anon', 'authenticated')
  AND relkind IN ('r', 'p', 'v', 'm')
  AND has_schema_privilege(pg_roles.oid, relnamespace, 'USAGE')
  AND has_any_column_privilege(pg_roles.oid, pg_class.oid, 'SELECT, INSERT, UPDATE')
  AND (
    pg_class.oid = to_regclass('user_embeddings')
    OR relnamespace = to_regnamespace('embedding')
    OR pg_class.oid IN (
      SELECT ev_class
      FROM pg_rewrite
      JOIN pg_depend ON classid = 'pg_rewrite'::REGCLASS AND objid = pg_rewrite.oid
      JOIN pg_class AS read ON refclassid = 'pg_class'::REGCLASS AND read.oid = refobjid
      WHERE read.oid = to_regclass('user_embeddings')
        OR (read.relnamespace = to_regnamespace('embedding') AND read.oid <> ev_class)
    )
  )
UNION ALL
SELECT rolname || ' may use the schema embedding'
FROM pg_roles
WHERE rolname IN ('anon', 'authenticated')
  AND has_schema_privilege(pg_roles.oid, to_regnamespace('embedding'), 'USAGE')
ORDER BY exposed
LIMIT 20
"""


async def exposed(connection: Connection) -> tuple[str, ...]:
    """Return what Supabase's roles for browsers may see of ours; nothing where there are none."""
    return tuple(row["exposed"] for row in await connection.fetch(EXPOSED))


TRIGGERS = """
SELECT tgname::TEXT AS name, tgenabled IN ('O', 'A') AS enabled
FROM pg_trigger
WHERE NOT tgisinternal
  AND tgfoid IN (SELECT oid FROM pg_proc WHERE pronamespace = to_regnamespace('embedding'))
"""


async def triggers(connection: Connection) -> Mapping[str, bool]:
    """Return our triggers, and whether each is enabled."""
    return {row["name"]: row["enabled"] for row in await connection.fetch(TRIGGERS)}
