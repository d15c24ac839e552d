from collections.abc import Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest

from dev.postgres import Postgres


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with Postgres.start() as server:
        yield server


@pytest.fixture
async def template(postgres: Postgres):
    await postgres.create("template")
    yield "template"
    await postgres.drop("template")


async def fetch(postgres: Postgres, database: str, query: str) -> object:
    connection = await asyncpg.connect(postgres.url(database), timeout=5)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def test_server_is_postgres_18_with_pgvector(postgres: Postgres):
    version = await fetch(postgres, "postgres", "SHOW server_version")
    vector = "SELECT count(*) FROM pg_available_extensions WHERE name = 'vector'"
    assert str(version).startswith("18.")
    assert await fetch(postgres, "postgres", vector) == 1


async def test_server_has_room_for_many_connections(postgres: Postgres):
    assert await fetch(postgres, "postgres", "SHOW max_connections") == "200"
    assert await fetch(postgres, "postgres", "SHOW fsync") == "off"


def test_socket_path_fits_the_limit_of_unix_sockets(postgres: Postgres):
    assert postgres.socket.is_socket()
    assert len(str(postgres.socket)) < 107


async def test_clone_holds_what_the_template_holds_and_changes_alone(
    postgres: Postgres, template: str, tmp_path: Path
):
    schema = tmp_path / "schema.sql"
    schema.write_text("CREATE EXTENSION vector; CREATE TABLE t AS SELECT '[1,2]'::vector AS v;")
    await postgres.apply(template, schema)

    url = await postgres.create("clone", template)
    assert url == postgres.url("clone")
    assert await fetch(postgres, "clone", "SELECT v::text FROM t") == "[1,2]"

    await fetch(postgres, "clone", "DELETE FROM t")
    assert await fetch(postgres, template, "SELECT count(*) FROM t") == 1
    await postgres.drop("clone")


async def test_drop_disconnects_whoever_is_connected(postgres: Postgres):
    connection = await asyncpg.connect(await postgres.create("busy"), timeout=5)
    await postgres.drop("busy")
    with pytest.raises((asyncpg.PostgresConnectionError, asyncpg.InterfaceError)):
        await connection.fetchval("SELECT 1", timeout=5)
    await connection.close()
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        await asyncpg.connect(postgres.url("busy"), timeout=5)


async def test_database_name_may_be_any_text(postgres: Postgres):
    name = 'hyphen-ated "quoted"?&/%41'
    await postgres.create(name)
    assert await fetch(postgres, name, "SELECT current_database()") == name
    await postgres.drop(name)


async def test_apply_runs_files_in_order_outside_a_transaction(
    postgres: Postgres, template: str, tmp_path: Path
):
    first, second = tmp_path / "first.sql", tmp_path / "second.sql"
    first.write_text("CREATE TABLE t (n int);\n\\echo said by psql\n")
    second.write_text("CREATE INDEX CONCURRENTLY i ON t (n);")
    await postgres.apply(template, first, second)
    assert await fetch(postgres, template, "SELECT to_regclass('i')::text") == "i"


async def test_apply_stops_at_the_first_error_and_tells_its_file_and_line(
    postgres: Postgres, template: str, tmp_path: Path
):
    bad, after = tmp_path / "bad.sql", tmp_path / "after.sql"
    bad.write_text("CREATE TABLE t (n int);\n\nINSERT INTO missing VALUES (1);\nDROP TABLE t;\n")
    after.write_text("DROP TABLE t;")
    with pytest.raises(RuntimeError, match=r'bad\.sql:3: ERROR:  relation "missing"'):
        await postgres.apply(template, bad, after)
    assert await fetch(postgres, template, "SELECT to_regclass('t')::text") == "t"


async def test_two_servers_live_side_by_side_and_stop_for_good(postgres: Postgres):
    with Postgres.start() as other:
        await other.create("only_here")
        assert await fetch(other, "only_here", "SELECT 1") == 1
        with pytest.raises(asyncpg.InvalidCatalogNameError):
            await fetch(postgres, "only_here", "SELECT 1")
        folder = other.socket.parent
        pid = int((folder / "postmaster.pid").read_text().split()[0])
        assert psutil.pid_exists(pid)

    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    assert not folder.exists()
    assert await fetch(postgres, "postgres", "SELECT 1") == 1


async def test_folder_that_is_given_keeps_its_data(tmp_path: Path):
    folder = tmp_path / "data"
    with Postgres.start(folder) as server:
        await fetch(server, "postgres", "CREATE TABLE kept ()")
    with Postgres.start(folder) as server:
        assert await fetch(server, "postgres", "SELECT to_regclass('kept')::text") == "kept"
        assert await fetch(server, "postgres", "SHOW max_connections") == "200"


async def test_server_that_died_comes_back_with_all_that_was_committed_and_nothing_else():
    with Postgres.start() as server:
        await server.create("crashed")
        address = server.socket
        connection = await asyncpg.connect(server.url("crashed"), timeout=5)
        await connection.execute("SET synchronous_commit = on")
        await connection.execute("CREATE TABLE t AS SELECT 1 AS n")
        left_open = connection.transaction()
        await left_open.start()
        await connection.execute("INSERT INTO t VALUES (2)")
        server.stop_at_once()
        with pytest.raises((asyncpg.PostgresConnectionError, asyncpg.InterfaceError, OSError)):
            await connection.execute("INSERT INTO t VALUES (3)")
        with pytest.raises(OSError):  # noqa: PT011  # no socket, or nobody behind it
            await asyncpg.connect(server.url("crashed"), timeout=5)
        server.start_again()
        assert server.socket == address
        assert await fetch(server, "crashed", "SELECT array_agg(n) FROM t") == [1]
        connection.terminate()
