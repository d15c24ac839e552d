"""A run with nothing installed but what a run takes: no index, no reader, no optional package."""

import asyncio
import shutil
import subprocess
from pathlib import Path
from uuid import uuid4

import pytest
from valkey.asyncio import Valkey as Redis

from dev import upstash
from dev.ageing import age_runs
from dev.functions.program import LAUNCHER, bare_python
from dev.pooler import Pooler
from dev.postgres import Postgres
from dev.stack import LOGIN, ROOT, SQL, Stack, running
from dev.valkey import Valkey
from tests.promises import assert_converged, open_work
from tests.scene import build, connect
from tests.test_imports import deployed

FUNCTIONS = ("api/actions/batch-process", "api/actions/batch-failed")
FILES = (*(f"{function}.py" for function in FUNCTIONS), "schedule.py", "requirements.txt")
OPTIONAL = ("boto3", "botocore", "prometheus_client", "opentelemetry")
READS = ("recommend", "record")
"""Of lib/: what only readers and writers of the log have a use for, and is not even there."""
NEVER = ("lib.commands", "lib.status")
"""What only the command line and who looks on have a use for."""

# What `vercel build` writes of this kind names the function to the same runtime.
LAUNCH = """
import os
os.environ.update({variables!r})
import vercel_runtime.vc_init
"""


@pytest.fixture
def installation(tmp_path: Path) -> Path:
    """A folder with the files of a run alone, and the packages of requirements.txt alone."""
    for file in FILES:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, tmp_path / file)
    left_out = shutil.ignore_patterns("__pycache__", *READS)
    shutil.copytree(ROOT / "lib", tmp_path / "lib", ignore=left_out)
    packages = tmp_path / "_vendor"
    packages.mkdir()
    for installed in deployed("vercel-runtime"):
        names = {file.parts[0] for file in installed.files or ()} - {"..", "__pycache__"}
        for name in names - set(OPTIONAL):
            (packages / name).symlink_to(Path(str(installed.locate_file(name))))
    for function in FUNCTIONS:
        bundle = tmp_path / function
        bundle.mkdir()
        for name in ("api", "lib", "_vendor"):
            (bundle / name).symlink_to(tmp_path / name)
        (bundle / LAUNCHER).write_text(
            LAUNCH.format(
                variables={
                    "__VC_HANDLER_MODULE_NAME": function.replace("/", "."),
                    "__VC_HANDLER_ENTRYPOINT": f"{function}.py",
                    "__VC_HANDLER_ENTRYPOINT_ABS": str(tmp_path / f"{function}.py"),
                    "__VC_HANDLER_VENDOR_DIR": "_vendor",
                    "__VC_HANDLER_VARIABLE_NAME": "app",
                }
            )
        )
    return tmp_path


def command(stack: Stack, installation: Path, name: str) -> None:
    """Run a command of schedule.py in the installation."""
    subprocess.run(  # noqa: S603  # the interpreter, no shell
        [*bare_python(), "schedule.py", name],
        cwd=installation,
        env={**stack.environ, "PYTHONPATH": "_vendor", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        timeout=30,
        check=True,
        text=True,
    )


def loaded(stack: Stack) -> set[str]:
    """Return every module that a function has imported since it started, at whatever time."""
    lines = [line for line in stack.functions.logs if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip() for line in lines}


def test_installation_has_no_optional_package(installation: Path):
    code = "import sys, importlib.util as u; print([n for n in sys.argv[1:] if u.find_spec(n)])"
    finished = subprocess.run(  # noqa: S603  # the interpreter, no shell
        [*bare_python(), "-c", code, *OPTIONAL, "asyncpg"],
        cwd=installation,
        env={"PYTHONPATH": "_vendor"},
        stdout=subprocess.PIPE,
        timeout=30,
        check=True,
        text=True,
    )
    assert finished.stdout.strip() == "['asyncpg']"


async def test_run_takes_its_own_files_tables_and_settings_and_nothing_else(
    postgres: Postgres,
    front: Postgres | Pooler,
    valkey_empty: Valkey,
    redis: Redis,
    installation: Path,
):
    """Also the one after pages that failed for good, which takes the failure callback."""
    name = f"minimal_{uuid4().hex}"
    url = await postgres.create(name)
    await postgres.apply(name, *(file for file in SQL if file.name != "indexes.sql"))
    connection = await connect(url)
    scene = await build(connection, users=30)
    settings = {"PAGE_SIZE": "5", "PYTHONPROFILEIMPORTTIME": "1"}
    login = front.url(name, LOGIN)
    async with running(
        login, valkey_empty, settings, root=installation, bundles=FUNCTIONS
    ) as stack:
        for token in ("API_TOKEN", "ADMIN_TOKEN"):
            del stack.environ[token]
        await asyncio.to_thread(command, stack, installation, "register")
        [schedule] = stack.broker.timetable.all()
        await stack.broker.tick(schedule.schedule_id)

        async def refuse(_: upstash.Request, __: upstash.Stage) -> None:
            raise upstash.Refuse(500, "{}")

        stack.upstash.on_request = refuse
        await stack.broker.drain()
        noted = await connection.fetchval("SELECT count(*) FROM embedding.failed_pages")
        assert noted == len(stack.broker.dead_letters) == 6
        stack.upstash.on_request = None
        await age_runs(connection, 7200)
        await asyncio.to_thread(command, stack, installation, "trigger")
        assert {delivery.status for delivery in await stack.broker.drain()} == {200}
        await assert_converged(connection, redis, scene.users)
        assert await open_work(connection) == (0, 0)
        modules = loaded(stack)
    assert {"lib.batch.page", "asyncpg"} <= modules
    assert [one for one in modules if one.startswith(NEVER)] == []
    await connection.close()
    await postgres.drop(name)
