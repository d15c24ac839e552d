"""Where the environment is read, and that what is written down twice agrees."""

import ast
import json
from collections.abc import Iterator
from pathlib import Path

from lib.web.deadline import MAX_DURATION_SECONDS

ROOT = Path(__file__).parents[2]
READERS = {"environ", "environb", "getenv", "getenvb", "putenv"}


def readers(source: str) -> Iterator[str]:
    """Yield each name in a program by which it could read the environment."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Attribute(ast.Name("os"), name) if name in READERS:
                yield name
            case ast.ImportFrom("os", names):
                yield from (name.name for name in names if name.name in {*READERS, "*"})
            case ast.Import(names):
                yield from (name.asname for name in names if name.name == "os" and name.asname)
            case ast.Attribute(_, "from_env"):
                yield "from_env"


def test_reader_is_recognised_in_every_spelling():
    for source in (
        "import os; os.environ['A']",
        "import os; os.getenv('A')",
        "from os import environ",
        "from os import *",
        "import os as system; system.environ",
        "Redis.from_env()",
    ):
        assert list(readers(source)), source
    assert not list(readers("def load(environ): return environ.get('A')"))


def test_only_the_edges_read_the_environment():
    programs = [*ROOT.glob("lib/**/*.py"), *ROOT.glob("api/**/*.py"), ROOT / "schedule.py"]
    assert len(programs) > 30
    reading = {str(path.relative_to(ROOT)) for path in programs if [*readers(path.read_text())]}
    # the first only sets how many threads numpy has
    assert reading == {"lib/__init__.py", "lib/web/application.py", "schedule.py"}


def test_deadline_is_the_one_that_vercel_is_told():
    functions = json.loads((ROOT / "vercel.json").read_text())["functions"]
    files = {str(path.relative_to(ROOT)) for path in ROOT.glob("api/**/*.py")}
    assert set(functions) == files
    assert {function["maxDuration"] for function in functions.values()} == {MAX_DURATION_SECONDS}
