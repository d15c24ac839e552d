"""Cold start: what a function loads before its first request, and what it does not."""

import json
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from dev.stack import ROOT

FUNCTIONS = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("api/**/*.py"))

PACKAGES = {
    *("asyncpg", "numpy", "orjson", "pgvector"),
    *("qstash", "jwt", "upstash_redis"),
    *("httpx", "httpcore", "h11", "certifi", "idna", "anyio"),
    *("starlette", "typing_extensions"),
}
NOT_NEEDED = {
    "the command line of httpx": {"httpx._main", "click", "rich", "pygments"},
    "another loop than asyncio's, HTTP/2, SOCKS": {"trio", "h2", "socksio"},
    "pages, forms and tests of Starlette's": {
        *("jinja2", "python_multipart", "starlette.templating", "starlette.staticfiles"),
        "starlette.testclient",
    },
    "other drivers for vectors": {
        f"pgvector.{driver}"
        for driver in ("django", "peewee", "pg8000", "psycopg", "psycopg2", "sqlalchemy")
    },
    "a server of asyncpg's own": {"asyncpg.cluster"},
    "what numpy loads only when asked": {
        f"numpy.{part}" for part in ("f2py", "fft", "ma", "polynomial", "random", "testing")
    },
    "the heavy half of the standard library": {
        *("concurrent.futures.process", "doctest", "importlib.metadata", "logging.config"),
        *("multiprocessing", "pdb", "sqlite3", "tkinter", "unittest", "xml", "zipfile"),
    },
    "cryptography, which an HMAC does without": {"cryptography"},
    "the schedule's commands": {"argparse", "lib.qstash.schedule", "lib.qstash.timetable"},
    "the offline stack": {"dev", "uvicorn", "valkey"},
}

ENVIRON = {
    "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing",
    "QSTASH_TOKEN": "token",
    "QSTASH_CURRENT_SIGNING_KEY": "current",
    "QSTASH_NEXT_SIGNING_KEY": "next",
    "UPSTASH_REDIS_REST_URL": "https://redis.example",
    "UPSTASH_REDIS_REST_TOKEN": "token",
    "APP_URL": "https://app.example",
    "API_TOKEN": "reads",
    "ADMIN_TOKEN": "erases",
}
PROGRAM = """
import gc, importlib.util, json, sys
*sys.path[:0], file = sys.argv[1:]
spec = importlib.util.spec_from_file_location("function", file)
function = importlib.util.module_from_spec(spec)
spec.loader.exec_module(function)
files = {name: getattr(module, "__file__", None) for name, module in sys.modules.items()}
made = sorted({type(thing).__name__ for thing in gc.get_objects()})
print(json.dumps({"app": callable(function.app), "files": files, "made": made}))
"""


@dataclass(frozen=True)
class Loaded:
    """What there is in a process that has imported a function.

    `modules`: by full name. `packages`: outermost names of those that requirements.txt brings.
    `made`: the names of the types of all objects.
    """

    modules: set[str]
    packages: set[str]
    made: set[str]


def deployed(*more: str) -> list[Distribution]:
    """Return what requirements.txt and `more` install: what is asked for, dependencies included."""
    lines = [*(ROOT / "requirements.in").read_text().splitlines(), *more]
    wanted = [Requirement(line) for line in lines if line]
    found: dict[str, Distribution] = {}
    while wanted:
        requirement = wanted.pop()
        applies = not requirement.marker or requirement.marker.evaluate({"extra": ""})
        name = canonicalize_name(requirement.name)
        if applies and name not in found:
            found[name] = distribution(name)
            wanted += [Requirement(line) for line in found[name].requires or ()]
    return list(found.values())


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of packages as a deployment has it: nothing of requirements-dev.txt."""
    folder = tmp_path_factory.mktemp("site")
    for installed in deployed():
        names = {file.parts[0] for file in installed.files or ()} - {"..", "__pycache__"}
        for name in names:
            (folder / name).symlink_to(Path(str(installed.locate_file(name))))
    return folder


@pytest.fixture(scope="session", params=FUNCTIONS)
def loaded(site: Path, request: pytest.FixtureRequest) -> Loaded:
    """Import a function in a process of its own."""
    finished = subprocess.run(  # noqa: S603  # the interpreter, no shell
        [sys.executable, "-I", "-S", "-c", PROGRAM, ROOT, site, ROOT / request.param],
        env=ENVIRON,
        stdout=subprocess.PIPE,
        timeout=30,
        check=True,
    )
    seen = json.loads(finished.stdout)
    assert seen["app"]
    outermost = {
        name.partition(".")[0]
        for name, file in seen["files"].items()
        if file and Path(file).is_relative_to(site)
    }
    return Loaded(set(seen["files"]), outermost, set(seen["made"]))


def test_function_loads_only_the_packages_that_are_named(loaded: Loaded):
    assert "asyncpg" in loaded.packages
    assert loaded.packages - PACKAGES == set()


def test_function_loads_nothing_heavy_that_a_page_does_not_need(loaded: Loaded):
    parents = {
        ".".join(name.split(".")[:depth])
        for name in loaded.modules
        for depth in range(1, name.count(".") + 2)
    }
    superfluous = {why: names & parents for why, names in NOT_NEEDED.items()}
    assert {why: names for why, names in superfluous.items() if names} == {}


def test_function_makes_no_client_before_its_first_request(loaded: Loaded):
    """An SSLContext takes longer than all our own modules."""
    assert "Database" in loaded.made, "nothing of ours was seen"
    assert {"AsyncClient", "SSLContext"} & loaded.made == set()
