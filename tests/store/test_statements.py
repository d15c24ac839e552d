"""SQL is written down as it runs: constants of lib.store, and values as parameters."""

import ast
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from dev.postgres import Postgres
from tests.store.statements import SQL, STORE, statements

ROOT = Path(__file__).parents[2]
ELSEWHERE = [
    *(path for path in ROOT.glob("lib/**/*.py") if path not in STORE),
    *ROOT.glob("api/**/*.py"),
    ROOT / "schedule.py",
]
RUNS = {"cursor", "execute", "executemany", "fetch", "fetchmany", "fetchrow", "fetchval", "prepare"}


def offences(source: str) -> Iterator[str]:
    """Yield every way in which a program's SQL is not a constant with a name."""
    tree = ast.parse(source)
    constants = {
        target.id
        for statement in tree.body
        if isinstance(statement, ast.Assign) and is_sql(statement.value)
        for target in statement.targets
        if isinstance(target, ast.Name) and target.id.isupper()
    }

    def constant(node: ast.AST) -> bool:
        return isinstance(node, ast.Name) and node.id in constants

    for node in ast.walk(tree):
        match node:
            case ast.JoinedStr(parts) if any(map(is_sql, parts)):
                yield f"{node.lineno}: SQL in an f-string"
            case ast.BinOp() if any(is_sql(n) or constant(n) for n in (node.left, node.right)):
                yield f"{node.lineno}: SQL put together"
            case ast.Call(ast.Attribute(text, _)) if is_sql(text) or constant(text):
                yield f"{node.lineno}: SQL that a method changes"
            case ast.Call(ast.Attribute(_, name), arguments) if name in RUNS:
                if not (arguments and constant(arguments[0])):
                    yield f"{node.lineno}: {name} of something else than a constant of the module"


def is_sql(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and (
        isinstance(node.value, str) and SQL.match(node.value) is not None
    )


@pytest.mark.fault(24)
@pytest.mark.parametrize("path", STORE, ids=lambda path: path.name)
def test_statement_is_a_constant_and_its_values_are_parameters(path: Path):
    assert not list(offences(path.read_text()))


@pytest.mark.parametrize(
    "source",
    [
        'A = "SELECT 1"\nc.fetch(f"SELECT {x}")',
        'c.fetch("SELECT 1")',
        'c.execute("DELETE FROM t WHERE id = %s" % x)',
        'c.execute("DELETE FROM t WHERE id = {}".format(x))',
        'A = "DELETE FROM t WHERE id = "\nc.execute(A + x)',
        'A = "SELECT "\nc.fetch(A + " FROM t")',
        'A = "SELECT {}"\nc.fetch(A.format(x))',
        'A = "SELECT {}"\nc.fetch(A.replace("{}", x))',
        "def f(sql): c.fetch(sql)",
        "c.fetch(OTHER)",
        "c.fetch(query=x)",
        'A = f"SELECT {x}"\nc.fetch(A)',
    ],
)
def test_statement_that_is_put_together_is_found(source: str):
    assert list(offences(source))


def test_constant_with_parameters_is_no_offence():
    assert not list(offences('A = "SELECT $1"\nasync def f(c, x): await c.fetch(A, x)'))


@pytest.mark.fault(24)
def test_sql_is_nowhere_but_in_the_store():
    assert len(STORE) > 5
    assert len(ELSEWHERE) > 25
    for path in ELSEWHERE:
        for node in ast.walk(ast.parse(path.read_text())):
            assert not is_sql(node), f"{path}: {ast.unparse(node)}"


CHANGED = """
ALTER TABLE post_embeddings DROP CONSTRAINT post_embeddings_post_id_fkey;
ALTER TABLE posts ALTER id TYPE TEXT;
ALTER TABLE post_embeddings
  ALTER post_id TYPE TEXT, ALTER model_version TYPE NAME, ALTER updated_at TYPE TIMESTAMP,
  ALTER embedding TYPE REAL[];
ALTER TABLE action_log
  ALTER id TYPE TEXT, ALTER post_id TYPE TEXT, ALTER action_type TYPE NAME,
  ALTER created_at TYPE TIMESTAMP
"""


async def test_statement_settles_the_types_of_its_arguments_and_results(
    postgres: Postgres, own: asyncpg.Connection, database_url: str
):
    """What is remembered of it must stay true, whatever becomes of the platform's columns."""
    await postgres.apply(urlsplit(database_url).path[1:], ROOT / "db" / "similar.sql")
    connection = own
    texts = list(statements().values())
    assert len(texts) > 20
    before = [await described(connection, statement) for statement in texts]
    assert None not in before
    await connection.execute("ALTER TABLE action_log ALTER id DROP IDENTITY;" + CHANGED)
    for statement, types in zip(texts, before, strict=True):
        assert await described(connection, statement) in (types, None), statement


async def described(connection: asyncpg.Connection, statement: str) -> list[str] | None:
    """Return the types of a statement's arguments and results; None if it cannot run any more."""
    try:
        async with connection.transaction():
            prepared = await connection.prepare(statement)
    except asyncpg.PostgresError:
        return None
    columns = [attribute.type for attribute in prepared.get_attributes()]
    return [kind.name for kind in (*prepared.get_parameters(), *columns)]
