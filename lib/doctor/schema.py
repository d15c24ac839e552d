"""Postgres, what there is: tables, columns, functions, indexes, pgvector."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from lib.doctor.finding import Verdict, look, ok, wrong
from lib.doctor.patient import Patient
from lib.store import catalog
from lib.store.catalog import Kind

PSQL = 'psql "$DIRECT_URL" -v ON_ERROR_STOP=1 -f db/'
NEWEST_NEEDED = (0, 8)
FEW = 6

PLATFORM: Mapping[str, str] = {
    "users.id": "uuid",
    "posts.id": "uuid",
    "posts.author_id": "uuid",
    "posts.title": "text",
    "posts.topic": "text",
    "posts.created_at": "timestamptz",
    "post_embeddings.post_id": "uuid",
    "post_embeddings.embedding": "vector",
    "post_embeddings.model_version": "text",
    "post_embeddings.updated_at": "timestamptz",
    "action_log.id": "int8",
    "action_log.user_id": "uuid",
    "action_log.post_id": "uuid",
    "action_log.action_type": "text",
    "action_log.created_at": "timestamptz",
}
LIKE = {"varchar": "text", "bpchar": "text", "int4": "int8", "citext": "text"}
TABLES = ("users", "posts", "post_embeddings", "action_log")


def expected() -> tuple[dict[str, str], set[str]]:
    """Return the columns and functions that db/schema.sql makes, as `make catalog` wrote them."""
    columns: dict[str, str] = {}
    functions: set[str] = set()
    for line in Path(__file__).with_name("schema.txt").read_text().splitlines():
        match line.split():
            case ["column", name, kind]:
                columns[name] = kind
            case ["function", name]:
                functions.add(name)
    return columns, functions


async def extension(patient: Patient) -> Verdict:
    """Look for pgvector, new enough and within reach."""
    found = await catalog.extension(patient.connection)
    if found is None:
        return wrong("is not installed", 'psql "$DIRECT_URL" -c "CREATE EXTENSION vector"')
    if not found.usable:
        return wrong(
            f"lies in the schema {found.schema}, which this role may not use",
            f'psql "$DIRECT_URL" -c "GRANT USAGE ON SCHEMA {found.schema} TO user_embeddings"',
        )
    if tuple(map(int, found.version.split(".")[:2])) < NEWEST_NEEDED:
        return look(
            f"is {found.version}: filtered searches in an index need 0.8",
            'psql "$DIRECT_URL" -c "ALTER EXTENSION vector UPDATE"',
        )
    return ok(f"is {found.version}, in the schema {found.schema}")


async def platform(patient: Patient) -> Verdict:
    """Compare the platform's tables or views with what we read of them."""
    patient.kinds = await catalog.kinds(patient.connection, TABLES)
    absent = [name for name, kind in patient.kinds.items() if kind is Kind.NOTHING]
    if absent:
        return wrong(
            f"{few(absent)} not found on this role's search path",
            "see the README, 'Tables with other names': views, or ALTER ROLE ... SET search_path",
        )
    if patient.kinds["users"] is Kind.VIEW:
        return wrong(
            "users is a view: user_embeddings cannot refer to it",
            "see the README, 'Tables with other names': users must be a table",
        )
    found = await catalog.columns(patient.connection, TABLES)
    odd = [
        f"{name} is {found.get(name, 'missing')}, not {kind}"
        for name, kind in PLATFORM.items()
        if LIKE.get(found.get(name, ""), found.get(name)) != kind
    ]
    if odd:
        return wrong(few(odd), "see the README, 'Tables with other names': views mend this")
    return ok("has users, posts, post_embeddings and action_log")


async def schema(patient: Patient) -> Verdict:
    """Compare our tables with those of db/schema.sql."""
    columns, functions = expected()
    names = sorted({name.rpartition(".")[0] for name in columns})
    found = await catalog.columns(patient.connection, names)
    odd = [
        f"{name} is {found.get(name, 'missing')}, not {kind}"
        for name, kind in columns.items()
        if found.get(name) != kind
    ]
    odd += [
        f"the function embedding.{name} is missing"
        for name in sorted(functions - await catalog.functions(patient.connection))
    ]
    if odd:
        return wrong(few(odd), f"{PSQL}schema.sql")
    return ok(f"is whole: {len(names)} tables")


INDEXES = {
    ("action_log", ("user_id", "created_at")): "action_log_user_created",
    ("action_log", ("created_at",)): "action_log_created",
    ("post_embeddings", ("post_id",)): "post_embeddings_version",
}


async def indexes(patient: Patient) -> Verdict:
    """Look for a valid index wherever a page looks something up."""
    found = await catalog.indexes(
        patient.connection, ("action_log", "post_embeddings", "posts", "embedding.user_neighbours")
    )
    for index in found:
        if not index.valid:
            file = "similar.sql" if index.of == "embedding.user_neighbours" else "indexes.sql"
            return wrong(
                f"{index.name} is invalid: building it was interrupted",
                f'psql "$DIRECT_URL" -c "DROP INDEX CONCURRENTLY {index.name}"; {PSQL}{file}',
            )
    missing = [
        name
        for (table, columns), name in INDEXES.items()
        if (patient.kinds or {}).get(table) is Kind.TABLE
        and not any(
            index.of == table and index.columns[: len(columns)] == columns for index in found
        )
    ]
    if missing:
        return wrong(f"{few(missing)} not there", f"{PSQL}indexes.sql")
    return ok("are there and valid")


async def triggers(patient: Patient) -> Verdict:
    """Look for our triggers that are missing or were disabled."""
    found = await catalog.triggers(patient.connection)
    if "note_removed" not in found:
        return wrong("note_removed is missing from user_embeddings", f"{PSQL}schema.sql")
    asleep = [name for name, enabled in found.items() if not enabled]
    if asleep:
        return wrong(
            f"{few(asleep)} disabled: what they report is lost",
            'psql "$DIRECT_URL" -c "ALTER TABLE ... ENABLE TRIGGER ..."',
        )
    return ok("are enabled: " + ", ".join(sorted(found)))


def few(lines: Iterable[str]) -> str:
    found = list(lines)
    more = f" and {len(found) - FEW} more" if len(found) > FEW else ""
    return ", ".join(found[:FEW]) + more
