"""The files of db/: each as it stands, again and again, wherever pgvector lives."""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from dev.postgres import Postgres
from dev.stack import ROOT
from tests.conftest import BROWSERS as SUPABASE
from tests.conftest import PLATFORMS
from tests.scene import connect

PLATFORM, SCHEMA, INDEXES, ROLES, _ = SQL = PLATFORMS["tables"]
TRIGGERS = ROOT / "db" / "triggers.sql"
SIMILAR = ROOT / "db" / "similar.sql"
BROWSERS = ("anon", "authenticated")

EXTENSIONS = "CREATE SCHEMA extensions; CREATE EXTENSION vector SCHEMA extensions"


@pytest.fixture
async def empty(postgres: Postgres) -> AsyncIterator[str]:
    """Name a database that holds nothing."""
    name = f"empty_{uuid4().hex}"
    await postgres.create(name)
    yield name
    await postgres.drop(name)


@pytest.fixture
def supabase_file(tmp_path: Path) -> Path:
    file = tmp_path / "supabase.sql"
    file.write_text(f"{SUPABASE.read_text()} {EXTENSIONS}")
    return file


@pytest.fixture
async def supabase(postgres: Postgres, empty: str, supabase_file: Path) -> str:
    """Name a database whose pgvector is in `extensions`, and whose `public` browsers see."""
    await postgres.apply(empty, supabase_file)
    return empty


async def described(connection: asyncpg.Connection) -> set[tuple[object, ...]]:
    """Return all that was defined, with its rights, of ours and on the platform's tables."""
    rows = await connection.fetch(
        "SELECT 'column', c.oid::REGCLASS::TEXT, a.attname::TEXT,"
        " format_type(a.atttypid, a.atttypmod) || a.attnotnull::TEXT"
        " FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid"
        " JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname IN ('public', 'embedding') AND a.attnum > 0"
        " UNION ALL"
        " SELECT 'index', indexrelid::REGCLASS::TEXT, pg_get_indexdef(indexrelid),"
        " indisvalid::TEXT FROM pg_index JOIN pg_class c ON c.oid = indrelid"
        " WHERE indrelid >= 16384 AND relkind = 'r'"
        " UNION ALL"
        " SELECT 'constraint', conrelid::REGCLASS::TEXT, conname::TEXT, pg_get_constraintdef(oid)"
        " FROM pg_constraint WHERE conrelid >= 16384"
        " UNION ALL"
        " SELECT 'rights', oid::REGCLASS::TEXT, coalesce(relacl, acldefault("
        "   (CASE relkind WHEN 'S' THEN 's' ELSE 'r' END)::\"char\", relowner))::TEXT, ''"
        " FROM pg_class"
        " WHERE oid >= 16384 AND relkind IN ('r', 'v', 'S')"
        " UNION ALL"
        " SELECT 'trigger', tgrelid::REGCLASS::TEXT, pg_get_triggerdef(oid), tgenabled::TEXT"
        " FROM pg_trigger WHERE NOT tgisinternal"
        " UNION ALL"
        " SELECT 'policy', polrelid::REGCLASS::TEXT, polname::TEXT,"
        " concat_ws(' ', polcmd, polroles::REGROLE[], pg_get_expr(polqual, polrelid),"
        " pg_get_expr(polwithcheck, polrelid)) FROM pg_policy"
        " UNION ALL"
        " SELECT 'function', oid::REGPROCEDURE::TEXT, pg_get_functiondef(oid), proacl::TEXT"
        " FROM pg_proc WHERE pronamespace = 'embedding'::REGNAMESPACE"
    )
    return {tuple(row) for row in rows}


async def apply_and_describe(
    postgres: Postgres, database: str, *files: Path
) -> set[tuple[object, ...]]:
    await postgres.apply(database, *files)
    connection = await connect(postgres.url(database))
    try:
        return await described(connection)
    finally:
        await connection.close()


@pytest.fixture(params=["plain", "like Supabase"])
async def fresh(
    request: pytest.FixtureRequest, postgres: Postgres, empty: str, supabase_file: Path
) -> str:
    """Name a database that holds nothing of ours, of either kind."""
    if request.param == "like Supabase":
        await postgres.apply(empty, supabase_file)
    return empty


async def test_files_can_be_applied_again_and_change_nothing(postgres: Postgres, fresh: str):
    once = await apply_and_describe(postgres, fresh, *SQL)
    assert len(once) > 80
    for again in ((PLATFORM,), (SCHEMA,), (INDEXES,), (ROLES,), (SCHEMA, SCHEMA), SQL):
        assert await apply_and_describe(postgres, fresh, *again) == once


async def test_triggers_can_be_applied_again_and_change_nothing(postgres: Postgres, fresh: str):
    without = await apply_and_describe(postgres, fresh, *SQL)
    once = await apply_and_describe(postgres, fresh, TRIGGERS)
    added = Counter(kind for kind, *_ in once - without)
    assert added == {"function": 4, "trigger": 4, "index": 1, "column": 2}
    for again in ((TRIGGERS,), (SCHEMA,), (*SQL, TRIGGERS)):
        assert await apply_and_describe(postgres, fresh, *again) == once


async def test_copy_can_be_made_again_and_changes_nothing(postgres: Postgres, fresh: str):
    without = await apply_and_describe(postgres, fresh, *SQL)
    once = await apply_and_describe(postgres, fresh, SIMILAR)
    assert without < once
    for again in ((SIMILAR,), (SCHEMA,), (*SQL, SIMILAR), (ROLES,)):
        assert await apply_and_describe(postgres, fresh, *again) == once


async def test_files_can_be_applied_again_where_there_are_views(postgres: Postgres, empty: str):
    _, *again = PLATFORMS["views"]
    once = await apply_and_describe(postgres, empty, *PLATFORMS["views"], SIMILAR)
    for files in (again, (SIMILAR,), (ROLES,), (*again, SIMILAR)):
        assert await apply_and_describe(postgres, empty, *files) == once


async def test_triggers_on_views_are_refused_and_leave_nothing(postgres: Postgres, empty: str):
    before = await apply_and_describe(postgres, empty, *PLATFORMS["views"])
    with pytest.raises(
        RuntimeError, match=r"triggers\.sql:.*action_log.*\n.*not supported for views"
    ):
        await postgres.apply(empty, TRIGGERS)
    assert await apply_and_describe(postgres, empty) == before


async def test_work_list_of_an_earlier_version_is_brought_up_to_date(
    postgres: Postgres, fresh: str
):
    """Users who were due stay so; what is noted twice by different transactions is two rows."""
    wanted = await apply_and_describe(postgres, fresh, *SQL)
    connection = await connect(postgres.url(fresh))
    await connection.execute(
        "DROP TABLE embedding.due;"
        "CREATE TABLE embedding.due ("
        " user_id UUID NOT NULL, reason TEXT NOT NULL, PRIMARY KEY (user_id, reason));"
        "REVOKE ALL ON embedding.due FROM PUBLIC;"
        "INSERT INTO embedding.due VALUES (gen_random_uuid(), 'rebuild')"
    )
    assert await apply_and_describe(postgres, fresh, SCHEMA, ROLES) == wanted
    await connection.execute(
        "INSERT INTO embedding.due (user_id, reason) SELECT user_id, reason FROM embedding.due"
    )
    assert await connection.fetchval("SELECT count(*) FROM embedding.due") == 2
    await connection.close()


@pytest.mark.parametrize("place", ["app", "Odd place"])
async def test_log_is_found_in_whatever_schema_it_is(postgres: Postgres, empty: str, place: str):
    connection = await connect_bare(postgres, empty)
    await connection.execute(f'CREATE EXTENSION vector; CREATE SCHEMA "{place}"')
    await connection.execute(f'ALTER DATABASE "{empty}" SET search_path = "{place}", public')
    await postgres.apply(empty, *SQL, TRIGGERS)
    await connection.execute(
        f'INSERT INTO "{place}".posts DEFAULT VALUES;'  # noqa: S608  # names of ours
        f' INSERT INTO "{place}".action_log (user_id, post_id, action_type)'
        f" SELECT id, id, 'view_post' FROM \"{place}\".posts;"
        f' DELETE FROM "{place}".posts'
    )
    assert await connection.fetchval("SELECT count(*) FROM embedding.due") == 1
    await connection.close()


async def connect_bare(postgres: Postgres, database: str) -> asyncpg.Connection:
    """Connect to a database that has no pgvector yet."""
    return await asyncpg.connect(postgres.url(database))


async def test_files_can_be_applied_again_on_a_database_in_use(
    postgres: Postgres, own: asyncpg.Connection
):
    await own.execute(
        "INSERT INTO users (id) VALUES (DEFAULT);"
        "INSERT INTO user_embeddings (user_id, embedding, model_version)"
        " SELECT id, array_fill(1, '{384}')::vector, 'm' FROM users"
    )
    await postgres.apply(await own.fetchval("SELECT current_database()"), *SQL)
    assert await own.fetchval("SELECT count(*) FROM user_embeddings") == 1


async def test_pgvector_stays_where_it_is(postgres: Postgres, supabase: str):
    await postgres.apply(supabase, *SQL)
    connection = await connect(postgres.url(supabase))
    assert await connection.fetchval(
        "SELECT extnamespace::REGNAMESPACE::TEXT FROM pg_extension WHERE extname = 'vector'"
    ) == ("extensions")
    types = await connection.fetch(
        "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attname = 'embedding'"
        " AND attrelid IN ('user_embeddings'::REGCLASS, 'post_embeddings'::REGCLASS)"
    )
    assert [row[0] for row in types] == ["extensions.vector(384)"] * 2
    await connection.close()


async def test_table_is_the_specification_s(connection: asyncpg.Connection):
    rows = await connection.fetch(
        "SELECT attname, format_type(atttypid, atttypmod), attnotnull,"
        " pg_get_expr(adbin, adrelid)"
        " FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum"
        " WHERE attrelid = 'user_embeddings'::REGCLASS AND attnum > 0 ORDER BY attnum"
    )
    assert [tuple(row) for row in rows] == [
        ("id", "uuid", True, "gen_random_uuid()"),
        ("user_id", "uuid", True, None),
        ("embedding", "vector(384)", False, None),
        ("model_version", "text", True, None),
        ("generated_at", "timestamp with time zone", False, "now()"),
        ("updated_at", "timestamp with time zone", False, "now()"),
        ("created_by", "uuid", False, None),
    ]
    constraints = await connection.fetch(
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE conrelid = 'user_embeddings'::REGCLASS AND contype <> 'n'"
    )
    assert {row[0] for row in constraints} == {
        "PRIMARY KEY (id)",
        "UNIQUE (user_id)",
        "FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE",
        "FOREIGN KEY (created_by) REFERENCES users(id)",
    }


async def ours(connection: asyncpg.Connection) -> list[str]:
    rows = await connection.fetch(
        "SELECT oid::REGCLASS::TEXT FROM pg_class WHERE relkind IN ('r', 'S') AND"
        " (relnamespace = 'embedding'::REGNAMESPACE OR oid = 'user_embeddings'::REGCLASS)"
    )
    return [row[0] for row in rows]


async def test_nobody_but_the_owner_sees_what_is_ours(connection: asyncpg.Connection):
    stranger = f"stranger_{uuid4().hex}"
    await connection.execute(f"CREATE ROLE {stranger}")
    try:
        await assert_nothing_seen(connection, stranger)
    finally:
        await connection.execute(f"DROP ROLE {stranger}")


async def test_browsers_see_nothing_of_ours_where_they_see_all_else(
    postgres: Postgres, supabase: str
):
    await postgres.apply(supabase, *SQL)
    connection = await connect(postgres.url(supabase))
    for browser in BROWSERS:
        await assert_nothing_seen(connection, browser)
        # or this test would prove nothing
        assert await connection.fetchval(
            "SELECT has_table_privilege($1, 'posts', 'SELECT')", browser
        )
    await connection.close()


@pytest.mark.parametrize("files", [SQL, (*SQL, TRIGGERS)], ids=["alone", "with triggers"])
async def test_functions_are_nobody_s_but_the_owner_s(
    postgres: Postgres, supabase: str, files: Sequence[Path]
):
    """Those with the owner's rights trust no name that another might have given."""
    await postgres.apply(supabase, *files)
    connection = await connect(postgres.url(supabase))
    rows = await connection.fetch(
        "SELECT oid::REGPROCEDURE::TEXT AS name, prosecdef AS definer,"
        " proconfig = ARRAY['search_path=pg_catalog'] AS fixed,"
        " (SELECT bool_or(has_function_privilege(role, p.oid, 'EXECUTE'))"
        "  FROM unnest($1::TEXT[]) AS role) AS open"
        " FROM pg_proc p WHERE pronamespace = 'embedding'::REGNAMESPACE",
        BROWSERS,
    )
    assert len(rows) >= 6
    assert [row["name"] for row in rows if row["open"]] == []
    assert [row["name"] for row in rows if row["definer"] and not row["fixed"]] == []
    await connection.close()


@pytest.fixture
async def application(own: asyncpg.Connection, postgres: Postgres) -> AsyncIterator[str]:
    """Name a role that has the platform's tables and nothing of ours, where triggers are."""
    role = f"application_{uuid4().hex}"
    await postgres.apply(await own.fetchval("SELECT current_database()"), TRIGGERS)
    await own.execute(f"CREATE ROLE {role}; GRANT ALL ON posts, action_log TO {role}")
    yield role
    await own.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


async def test_report_needs_no_more_than_execute(own: asyncpg.Connection, application: str):
    call = "SELECT embedding.report_late_actions(ARRAY[gen_random_uuid()])"
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await as_role(own, application, call)
    await own.execute(
        f"GRANT USAGE ON SCHEMA embedding TO {application};"
        f"GRANT EXECUTE ON FUNCTION embedding.report_late_actions(UUID[]) TO {application}"
    )
    await as_role(own, application, call)
    assert await own.fetchval("SELECT count(*) FROM embedding.due") == 1
    for refused in (
        "SELECT embedding.report_deleted_posts(ARRAY[gen_random_uuid()])",
        "SELECT embedding.note_due(ARRAY[gen_random_uuid()], 'failed')",
        "SELECT FROM embedding.due",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await as_role(own, application, refused)


async def test_trigger_needs_no_rights_of_whoever_writes(own: asyncpg.Connection, application: str):
    for statement in (
        "INSERT INTO posts DEFAULT VALUES",
        (
            "INSERT INTO action_log (user_id, post_id, action_type, created_at)"
            " SELECT id, id, 'view_post', now() - interval '1 day' FROM posts"
        ),
        "UPDATE action_log SET action_type = 'like_post'",
        "DELETE FROM posts",
        "DELETE FROM action_log",
    ):
        await as_role(own, application, statement)
    reasons = await own.fetch("SELECT DISTINCT reason FROM embedding.due")
    assert {row[0] for row in reasons} == {"late_action", "deleted_action", "deleted_post"}


async def test_no_relation_of_a_caller_s_stands_in_for_the_log(
    own: asyncpg.Connection, application: str
):
    """The functions have the owner's rights, so nothing they name may be the caller's choice."""
    await own.execute(
        f"GRANT USAGE ON SCHEMA embedding TO {application};"
        f"GRANT EXECUTE ON FUNCTION embedding.report_deleted_posts(UUID[]) TO {application}"
    )
    await as_role(
        own,
        application,
        "CREATE TEMP TABLE action_log (user_id UUID, post_id UUID);"
        "INSERT INTO action_log SELECT gen_random_uuid(), gen_random_uuid();"
        "SET LOCAL search_path = pg_temp, public;"
        "SELECT embedding.report_deleted_posts(ARRAY(SELECT post_id FROM pg_temp.action_log))",
    )
    assert await own.fetchval("SELECT count(*) FROM embedding.due") == 0


async def assert_nothing_seen(connection: asyncpg.Connection, role: str) -> None:
    assert not await connection.fetchval(
        "SELECT has_schema_privilege($1, 'embedding', 'USAGE, CREATE')", role
    )
    tables = await ours(connection)
    assert len(tables) >= 7
    for table in tables:
        for statement in (f"SELECT FROM {table}", f"DELETE FROM {table}"):  # noqa: S608  # names of ours
            with pytest.raises(asyncpg.PostgresError) as refused:
                await as_role(connection, role, statement)
            assert isinstance(
                refused.value, (asyncpg.InsufficientPrivilegeError, asyncpg.WrongObjectTypeError)
            )


async def as_role(connection: asyncpg.Connection, role: str, statement: str) -> None:
    async with connection.transaction():
        await connection.execute(f"SET LOCAL ROLE {role}")
        await connection.execute(statement)
