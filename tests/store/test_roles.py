"""Least privilege: the functions' roles have the rights that a statement needs, and no other."""

from collections.abc import AsyncIterator
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest

from dev.postgres import Postgres
from dev.stack import ROOT
from tests.scene import connect
from tests.store.statements import statements

ON_PLATFORMS = ["tables", "views"]
ROLES = ROOT / "db" / "roles.sql"
SIMILAR = ROOT / "db" / "similar.sql"
OPTIONAL = {
    "tables": [ROOT / "db" / name for name in ("recommend.sql", "similar.sql", "triggers.sql")],
    "views": [SIMILAR],
}

READER, LOGGER = "user_embeddings", "user_embeddings_log"
PLATFORM = ("action_log", "post_embeddings", "posts", "users")
RIGHTS = {
    **dict.fromkeys(PLATFORM, "SELECT"),
    "user_embeddings": "SELECT INSERT UPDATE DELETE",
    "embedding.due": "SELECT INSERT DELETE",
    "embedding.erasures": "SELECT INSERT UPDATE",
    "embedding.events": "SELECT INSERT UPDATE DELETE",
    "embedding.exposures": "SELECT INSERT DELETE",
    "embedding.failed_pages": "SELECT INSERT UPDATE",
    "embedding.failures": "SELECT INSERT UPDATE DELETE",
    "embedding.impressions": "SELECT INSERT DELETE",
    "embedding.mean_checks": "SELECT INSERT UPDATE",
    "embedding.means": "SELECT INSERT",
    "embedding.neighbours_due": "SELECT DELETE",
    "embedding.popularity_state": "SELECT INSERT UPDATE",
    "embedding.post_popularity": "SELECT INSERT UPDATE DELETE",
    "embedding.rebuilds": "SELECT INSERT UPDATE DELETE",
    "embedding.responses": "SELECT INSERT",
    "embedding.run_counts": "SELECT INSERT UPDATE",
    "embedding.run_figures": "SELECT INSERT UPDATE",
    "embedding.run_users": "SELECT INSERT DELETE",
    "embedding.runs": "SELECT INSERT UPDATE DELETE",
    "embedding.shadow_vectors": "SELECT INSERT UPDATE DELETE",
    "embedding.showings": "SELECT INSERT UPDATE DELETE",
    "embedding.totals": "SELECT INSERT UPDATE",
    "embedding.user_interests": "SELECT INSERT DELETE",
    "embedding.user_neighbours": "SELECT INSERT UPDATE DELETE",
    "embedding.user_offsets": "SELECT INSERT UPDATE DELETE",
}
CALLS = {
    "embedding.may_show(uuid)",
    "embedding.report_deleted_actions(uuid[])",
    "embedding.report_deleted_posts(uuid[])",
    "embedding.report_late_actions(uuid[])",
    "embedding.withheld(uuid[],timestamp with time zone[])",
}
BY_COPY = {("embedding.user_interests", "INSERT")}
"""What no statement needs: `replace_interests` writes these by COPY."""


@pytest.fixture
async def whole(
    own: asyncpg.Connection, postgres: Postgres, database_url: str, platform: str
) -> asyncpg.Connection:
    """The owner's connection to a database that has the optional files too."""
    await postgres.apply(urlsplit(database_url).path[1:], *OPTIONAL[platform])
    return own


@pytest.fixture
async def stranger(own: asyncpg.Connection) -> AsyncIterator[str]:
    """Name a role that was given nothing: what everybody may do."""
    role = f"stranger_{uuid4().hex}"
    await own.execute(f"CREATE ROLE {role}")
    yield role
    await own.execute(f"DROP ROLE {role}")


# Of everything in the database, the system's own included.
RIGHTS_OF = """
SELECT 'relation', oid::REGCLASS::TEXT, privilege
FROM pg_class
CROSS JOIN unnest('{SELECT,INSERT,UPDATE,DELETE,TRUNCATE,TRIGGER,REFERENCES,MAINTAIN}'::TEXT[])
  AS privilege
WHERE relkind IN ('r', 'p', 'v', 'm', 'f') AND (
  has_table_privilege($1, oid, privilege)
  OR privilege IN ('SELECT', 'INSERT', 'UPDATE', 'REFERENCES')
    AND has_any_column_privilege($1, oid, privilege)
)
UNION ALL
SELECT 'sequence', oid::REGCLASS::TEXT, privilege
FROM pg_class
CROSS JOIN unnest('{SELECT,USAGE,UPDATE}'::TEXT[]) AS privilege
WHERE relkind = 'S' AND has_sequence_privilege($1, oid, privilege)
UNION ALL
SELECT 'function', oid::REGPROCEDURE::TEXT, 'EXECUTE'
FROM pg_proc WHERE has_function_privilege($1, oid, 'EXECUTE')
UNION ALL
SELECT 'schema', nspname, privilege
FROM pg_namespace CROSS JOIN unnest('{USAGE,CREATE}'::TEXT[]) AS privilege
WHERE has_schema_privilege($1, oid, privilege)
UNION ALL
SELECT 'database', datname, privilege
FROM pg_database CROSS JOIN unnest('{CONNECT,CREATE,TEMPORARY}'::TEXT[]) AS privilege
WHERE has_database_privilege($1, oid, privilege)
UNION ALL
SELECT 'tablespace', spcname, 'CREATE'
FROM pg_tablespace WHERE has_tablespace_privilege($1, oid, 'CREATE')
UNION ALL
SELECT 'language', lanname, 'USAGE' FROM pg_language WHERE has_language_privilege($1, oid, 'USAGE')
"""


async def rights(connection: asyncpg.Connection, role: str) -> set[tuple[str, str, str]]:
    return {tuple(row) for row in await connection.fetch(RIGHTS_OF, role)}


async def test_role_may_do_what_the_table_says_and_else_what_everybody_may(
    whole: asyncpg.Connection, stranger: str, platform: str
):
    everybody = await rights(whole, stranger)
    expected = {
        *(("relation", table, right) for table, all_ in RIGHTS.items() for right in all_.split()),
        *(("function", call, "EXECUTE") for call in CALLS),
        ("schema", "embedding", "USAGE"),
        ("sequence", "embedding.means_id_seq", "UPDATE"),
    }
    if platform == "views":
        expected.add(("schema", "extensions", "USAGE"))
    assert await rights(whole, READER) - everybody == expected
    assert await rights(whole, LOGGER) - everybody == {
        *expected,
        ("relation", "action_log", "INSERT"),
    }
    assert ("relation", "pg_authid", "SELECT") not in everybody
    assert not {right for right in everybody if right[2] == "CREATE"}


@pytest.mark.parametrize("role", [READER, LOGGER, "functions"])
async def test_role_owns_nothing_and_is_nobody_else(own: asyncpg.Connection, role: str):
    attributes = await own.fetchrow(
        "SELECT rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls FROM pg_roles"
        " WHERE rolname = $1",
        role,
    )
    assert not any(attributes)
    assert not await own.fetchval(
        "SELECT count(*) FROM pg_shdepend WHERE refobjid = $1::TEXT::REGROLE AND deptype = 'o'",
        role,
    )
    others = await own.fetch(
        "SELECT rolname FROM pg_roles WHERE pg_has_role($1::TEXT, oid, 'MEMBER')"
        " AND rolname <> $1::TEXT",
        role,
    )
    assert {row[0] for row in others} <= {READER, LOGGER}


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE public.own ()",
        "CREATE TABLE embedding.own ()",
        "CREATE SCHEMA own",
        "CREATE FUNCTION embedding.own() RETURNS INTEGER LANGUAGE sql AS 'SELECT 1'",
        "CREATE ROLE own",
        "SELECT FROM pg_authid",
        "SELECT pg_read_file('PG_VERSION')",
        "UPDATE action_log SET action_type = 'view_post'",
        "DELETE FROM action_log",
        "DELETE FROM users",
        "INSERT INTO posts DEFAULT VALUES",
        "UPDATE post_embeddings SET updated_at = now()",
        "TRUNCATE embedding.runs",
        "DROP TABLE embedding.runs",
        "ALTER TABLE user_embeddings ADD COLUMN own INTEGER",
        "DROP POLICY user_embeddings ON user_embeddings",
        "SELECT embedding.note_due(ARRAY[gen_random_uuid()], 'failed')",
        "SET ROLE postgres",
    ],
)
async def test_login_is_refused(database_url: str, statement: str):
    connection = await connect(database_url)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute(statement)
    await connection.close()


async def test_log_alone_is_written_with_one_more_right(whole: asyncpg.Connection):
    every = statements()
    assert [name for name in every if not await may(whole, READER, every[name])] == ["events.LOG"]
    assert [name for name in every if not await may(whole, LOGGER, every[name])] == []


async def test_each_right_is_one_that_a_statement_needs(whole: asyncpg.Connection):
    every = statements()
    spare = set()
    for table, all_ in RIGHTS.items():
        touching = [text for text in every.values() if table.rpartition(".")[2] in text]
        for right in all_.split():
            await whole.execute(f"REVOKE {right} ON {table} FROM {READER}")
            if all([await may(whole, LOGGER, text) for text in touching]):
                spare.add((table, right))
            await whole.execute(f"GRANT {right} ON {table} TO {READER}")
    assert spare == BY_COPY
    for call in CALLS:
        assert any(call.partition("(")[0] in text for text in every.values()), call


async def may(connection: asyncpg.Connection, role: str, statement: str) -> bool:
    """Whether a role may run a statement, which is begun and not run."""
    undone = connection.transaction()
    await undone.start()
    try:
        await connection.execute(
            f"SET LOCAL ROLE {role}; SET LOCAL search_path = public, extensions"
        )
        statement = statement.strip().removeprefix("EXPLAIN (FORMAT JSON)")
        await connection.execute(f"EXPLAIN (GENERIC_PLAN) {statement}")
    except asyncpg.InsufficientPrivilegeError:
        return False
    else:
        return True
    finally:
        await undone.rollback()


async def test_files_applied_in_either_order_give_the_same_rights(
    own: asyncpg.Connection, postgres: Postgres, database_url: str
):
    database = urlsplit(database_url).path[1:]
    await postgres.apply(database, SIMILAR)
    once = await rights(own, READER)
    await postgres.apply(database, ROLES)
    assert await rights(own, READER) == once
    await own.execute(f"DROP OWNED BY {LOGGER}, {READER}")
    await postgres.apply(database, ROLES)
    assert await rights(own, READER) == once


async def test_right_that_an_earlier_version_gave_is_taken_back(
    own: asyncpg.Connection, postgres: Postgres, database_url: str
):
    once = await rights(own, READER)
    await own.execute(
        f"GRANT ALL ON ALL TABLES IN SCHEMA embedding TO {READER};"
        f"GRANT ALL ON ALL FUNCTIONS IN SCHEMA embedding TO {READER};"
        f"GRANT TRUNCATE ON user_embeddings TO {READER}"
    )
    await postgres.apply(urlsplit(database_url).path[1:], ROLES)
    assert await rights(own, READER) == once


# Logs of another kind than the suite's

NUMBERED = (
    "(id BIGSERIAL PRIMARY KEY, user_id UUID, post_id UUID, action_type TEXT,"
    " created_at TIMESTAMPTZ)"
)
KEPT = f"CREATE SCHEMA kept; CREATE TABLE kept.log {NUMBERED}; CREATE TABLE kept.muted (id UUID);"
READ, WRITTEN, ASKED = ("kept.log", "SELECT"), ("kept.log", "INSERT"), ("kept.muted", "SELECT")


@pytest.mark.parametrize(
    ("log", "behind"),
    [
        (f"CREATE TABLE action_log {NUMBERED}", set()),
        (f"{KEPT} CREATE VIEW action_log AS TABLE kept.log", set()),
        (
            f"{KEPT} CREATE VIEW action_log WITH (security_invoker) AS TABLE kept.log",
            {READ, WRITTEN},
        ),
        (
            (
                f"{KEPT} CREATE VIEW action_log WITH (security_invoker = on) AS"  # noqa: S608  # names of ours
                " SELECT log.* FROM kept.log WHERE user_id NOT IN (TABLE kept.muted)"
            ),
            {READ, ASKED},
        ),
    ],
    ids=["table", "view", "view for the reader's rights", "view of two tables"],
)
async def test_log_is_read_and_written_whatever_it_is(
    own: asyncpg.Connection,
    postgres: Postgres,
    database_url: str,
    log: str,
    behind: set[tuple[str, str]],
):
    """Numbered by a sequence. Of several tables behind it, none is guessed to be written to."""
    kind = await own.fetchval("SELECT relkind FROM pg_class WHERE oid = 'action_log'::REGCLASS")
    await own.execute(f"DROP {'VIEW' if kind == b'v' else 'TABLE'} action_log; {log}")
    await postgres.apply(urlsplit(database_url).path[1:], ROLES)
    held = await rights(own, LOGGER)
    assert {(name, right) for _, name, right in held if name.startswith("kept.")} == {
        *behind,
        *({("kept.log_id_seq", "USAGE")} if "kept" in log and ASKED not in behind else ()),
    }
    functions = await connect(database_url)
    write = "INSERT INTO action_log (user_id, action_type) VALUES ($1, 'view_post')"
    if ASKED in behind:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await functions.execute(write, uuid4())
    else:
        await functions.execute(write, uuid4())
    assert len(await functions.fetch("SELECT FROM action_log")) == (ASKED not in behind)
    await functions.close()


# Browsers


@pytest.mark.parametrize("browser", ["anon", "authenticated"])
async def test_browser_sees_nothing_of_ours_where_it_sees_all_else(
    whole: asyncpg.Connection, stranger: str, platform: str, browser: str
):
    """Of what is made in `public`, Supabase gives browsers all; the platform's tables show it."""
    seen = {(kind, name) for kind, name, _ in await rights(whole, browser)}
    seen -= {(kind, name) for kind, name, _ in await rights(whole, stranger)}
    platforms = {
        "tables": {"action_log", "post_embeddings", "posts", "users"},
        "views": {"content", "content_vectors", "events", "users", *PLATFORM},
    }
    sequences = {"tables": {"action_log_id_seq"}, "views": {"events_event_id_seq"}}
    assert {name for kind, name in seen if kind == "relation"} == platforms[platform]
    assert {name for kind, name in seen if kind == "sequence"} == sequences[platform]
    assert {kind for kind, _ in seen} == {"relation", "sequence"}
    assert not [row for row in await rights(whole, stranger) if row[1].startswith("embedding")]
