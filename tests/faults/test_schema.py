"""The schema files of today over the database of any earlier version, and half applied."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest
from asyncpg import Connection
from valkey.asyncio import Valkey as Redis

from dev.pooler import Pooler
from dev.postgres import Postgres
from dev.stack import LOGIN, ROOT, SQL, running
from dev.valkey import Valkey
from tests.conftest import trigger
from tests.scene import build, connect
from tests.store.test_db_files import described
from tests.tally import Tally

pytestmark = [pytest.mark.fault(29), pytest.mark.timeout(300)]

DB = ROOT / "db"
TODAY = (
    *SQL,
    *(DB / name for name in ("recommend.sql", "similar.sql", "triggers.sql")),
)
ORDER = [file.name for file in TODAY]


def git(*arguments: str) -> str:
    done = subprocess.run(  # noqa: S603  # arguments of ours
        ["git", *arguments],  # noqa: S607  # wherever it is
        cwd=ROOT,
        capture_output=True,
        check=False,
        timeout=30,
    )
    return done.stdout.decode() if done.returncode == 0 else ""


def versions() -> list[str]:
    """Return the distinct earlier trees of db/, the oldest first; none in a shallow copy."""
    if git("rev-parse", "--is-shallow-repository").strip() != "false":
        return []
    commits = git("log", "--reverse", "--format=%H", "--", "db/").split()
    trees = [git("rev-parse", f"{commit}:db").strip() for commit in commits]
    return list(dict.fromkeys(trees))[:-1]


EARLIER = versions()


@pytest.fixture
async def database(postgres: Postgres) -> AsyncIterator[str]:
    name = f"earlier_{uuid4().hex}"
    await postgres.create(name)
    yield name
    await postgres.drop(name)


@pytest.fixture
async def wanted(postgres: Postgres) -> set[tuple[object, ...]]:
    """What is defined where the files of today are the first."""
    name = f"fresh_{uuid4().hex}"
    await postgres.create(name)
    await postgres.apply(name, *TODAY)
    found = await defined(postgres, name)
    await postgres.drop(name)
    return found


async def defined(postgres: Postgres, database: str) -> set[tuple[object, ...]]:
    connection = await connect(postgres.url(database))
    try:
        return await described(connection)
    finally:
        await connection.close()


# A row of each table there has been in every version or in some, that nothing refers to.
ROWS = {
    "embedding.due": "(user_id, reason) SELECT id, 'failed' FROM users",
    "embedding.failures": (
        "(user_id, reason, attempts, run_id, failed_at)"
        " SELECT id, 'no vector', 1, gen_random_uuid(), now() FROM users LIMIT 3"
    ),
    "embedding.rebuilds": "(users) VALUES (1)",
    "embedding.exposures": "SELECT 'x', id, 'baseline@1', now() FROM users LIMIT 3",
    "embedding.mean_checks": "VALUES ('m', now(), 0)",
    "embedding.popularity_state": "(half_life, counted_until) VALUES (3, now())",
    "embedding.events": "SELECT '\\x00', 'e', id, now() FROM users LIMIT 1",
    "embedding.showings": "SELECT gen_random_uuid(), id, 'baseline@1', now() FROM users LIMIT 3",
}


LAST_ACTION = (
    "SELECT EXISTS (SELECT FROM pg_attribute WHERE attname = 'last_action'"
    " AND attrelid = 'embedding.erasures'::REGCLASS)"
)


async def fill(connection: Connection) -> None:
    for table, rows in ROWS.items():
        if await connection.fetchval("SELECT to_regclass($1) IS NOT NULL", table):
            await connection.execute(f"INSERT INTO {table} {rows}")
    if await connection.fetchval("SELECT to_regclass('embedding.erasures') IS NOT NULL"):
        last = await connection.fetchval(LAST_ACTION)
        await connection.execute(
            "INSERT INTO embedding.erasures"
            f" SELECT gen_random_uuid(), now(), {'0' if last else "'{}'"}, true"
        )


async def counts(connection: Connection) -> dict[str, int]:
    return {
        table: await connection.fetchval(f"SELECT count(*) FROM {table}")  # noqa: S608  # names of ours
        for table in (*ROWS, "embedding.erasures")
        if await connection.fetchval("SELECT to_regclass($1) IS NOT NULL", table)
    }


@dataclass(frozen=True)
class Run:
    """What a whole run takes, and what it counts."""

    postgres: Postgres
    front: Postgres | Pooler
    valkey: Valkey
    redis: Redis
    tally: Tally

    async def converges(self, database: str, users: tuple[UUID, ...]) -> None:
        """Hold that a whole run over a database gives every user the reference's vector."""
        connection = await connect(self.postgres.url(database))
        login = self.front.url(database, LOGIN)
        async with running(login, self.valkey, {"PAGE_SIZE": "10"}) as stack:
            await trigger(stack)
            await stack.broker.drain()
            assert {delivery.status for delivery in stack.broker.deliveries} == {200}
        await self.tally.converged(connection, self.redis, users)
        await connection.close()


@pytest.fixture
def run(
    postgres: Postgres, front: Postgres | Pooler, valkey_empty: Valkey, redis: Redis, tally: Tally
) -> Run:
    return Run(postgres, front, valkey_empty, redis, tally)


@pytest.mark.skipif(not EARLIER, reason="the history of db/ is not here")
@pytest.mark.parametrize("tree", EARLIER, ids=lambda tree: tree[:8])
async def test_files_of_today_make_of_any_earlier_database_what_they_make_of_none(
    run: Run, database: str, wanted: set[tuple[object, ...]], tree: str, tmp_path: Path
):
    """With rows in it, of which none is lost, and then a whole run."""
    postgres = run.postgres
    there = git("ls-tree", "--name-only", tree).split()
    for name in there:
        (tmp_path / name).write_text(git("cat-file", "blob", f"{tree}:{name}"))
    await postgres.apply(database, *(tmp_path / name for name in ORDER if name in there))
    connection = await connect(postgres.url(database))
    scene = await build(connection, users=20, posts=20)
    await fill(connection)
    before = await counts(connection)
    assert before["embedding.due"] >= len(scene.users)
    await postgres.apply(database, *TODAY)
    found = await defined(postgres, database)
    assert comparable(found) == comparable(wanted)
    assert before.items() <= (await counts(connection)).items()
    await connection.close()
    await run.converges(database, scene.users)


def comparable(found: set[tuple[object, ...]]) -> set[tuple[object, ...]]:
    return {row for row in found if "........pg.dropped" not in str(row[2])}


async def test_files_killed_in_the_middle_are_whole_when_applied_again(
    run: Run, database: str, wanted: set[tuple[object, ...]]
):
    """SIGKILL of psql sooner and later, until it is through; the database goes on from there."""
    postgres, kills, wait = run.postgres, 0, 0.01
    while True:
        psql = await asyncio.create_subprocess_exec(
            postgres.psql,
            "--no-psqlrc",
            "--quiet",
            "--set=ON_ERROR_STOP=1",
            f"--dbname={postgres.url(database)}",
            *(f"--file={file}" for file in TODAY),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            async with asyncio.timeout(wait):
                assert await psql.wait() == 0
            break
        except TimeoutError:
            with suppress(ProcessLookupError):  # it was through just now
                psql.kill()
            await psql.wait()
            kills += 1
            wait += 0.02
            await quiet(postgres, database)
    run.tally.tried = kills
    assert kills > 0
    assert await defined(postgres, database) == wanted
    connection = await connect(postgres.url(database))
    scene = await build(connection, users=20, posts=20)
    await connection.close()
    await run.converges(database, scene.users)


INVALID = "SELECT indexrelid::REGCLASS::TEXT FROM pg_index WHERE NOT indisvalid"
OTHERS = (
    "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


async def quiet(postgres: Postgres, database: str) -> None:
    """End what a killed psql left at work, and drop its invalid indexes, as the README says."""
    connection = await asyncpg.connect(postgres.url(database))
    await connection.execute(OTHERS)
    for (index,) in await connection.fetch(INVALID):
        await connection.execute(f"DROP INDEX {index}")
    await connection.close()
