import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from qstash import Receiver

from dev.qstash import Refuse
from lib.errors import Unauthorized
from lib.qstash.message import Start, parse
from lib.qstash.signature import verify
from lib.settings import DEVELOPMENT_KEYS, SigningKeys
from schedule import main
from tests.qstash.conftest import TOKEN, Stand

pytestmark = pytest.mark.asyncio(loop_scope="package")

ROOT = Path(__file__).parents[2]
APP = "https://app.example"
URL = f"{APP}/api/actions/batch-process"
KEY = "canary-key-0123456789-0123456789-0123456789"
USER = "7e1f0e5c-2f0b-4a53-9f0e-3f4a5b6c7d8e"
BYPASS = "canary-bypass-0123456789"
EVERYTHING = {
    "DATABASE_URL": "postgresql://127.0.0.1:1/canary",
    "UPSTASH_REDIS_REST_URL": "http://127.0.0.1:1",
    "UPSTASH_REDIS_REST_TOKEN": "canary",
    "QSTASH_CURRENT_SIGNING_KEY": KEY,
    "EMBEDDING_EXPERIMENT": "trial:baseline=50,centred=50",
}


@dataclass(frozen=True)
class Result:
    """How a command ended."""

    code: int | None
    out: str
    err: str


type Schedule = Callable[..., Awaitable[Result]]


def account(stand: Stand) -> dict[str, str]:
    """Return the variables that name and open the account."""
    return {"QSTASH_URL": stand.url, "QSTASH_TOKEN": TOKEN}


def deployment(stand: Stand) -> dict[str, str]:
    """Return these, and those of a deployment."""
    return account(stand) | {"APP_URL": APP, "VERCEL_AUTOMATION_BYPASS_SECRET": BYPASS}


async def process(environ: dict[str, str], *arguments: str, said: bytes = b"") -> Result:
    """Run a program at the root with these variables and no others."""
    running = await asyncio.create_subprocess_exec(
        *arguments,
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environ},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(30):
            out, err = await running.communicate(said)
    except TimeoutError:
        running.kill()
        await running.wait()
        raise
    return Result(running.returncode, out.decode(), err.decode())


@pytest.fixture
def schedule(capsys: pytest.CaptureFixture[str]) -> Schedule:
    """Run schedule.py's commands in this process, with these variables and no others."""

    async def run(environ: dict[str, str], *arguments: str) -> Result:
        code = await asyncio.to_thread(main, list(arguments), environ)
        said = capsys.readouterr()
        assert "canary" not in said.out + said.err
        return Result(code, said.out, said.err)

    return run


async def test_schedule_py_is_a_program(stand: Stand):
    program = [sys.executable, "schedule.py"]
    created = await process(deployment(stand), *program)
    assert created == Result(0, "created user-embeddings: 0 */2 * * *\n", "")
    differs = await process(deployment(stand), *program, "--check", "--cron", "5 4 * * *")
    assert differs == Result(1, "cron: found '0 */2 * * *', wanted '5 4 * * *'\n", "")
    missing = await process(account(stand), *program)
    assert (missing.code, missing.out) == (2, "")
    assert missing.err.startswith("APP_URL is missing: ")
    assert missing.err.count("\n") == 1


async def test_register_creates_then_changes_then_leaves_the_schedule(
    stand: Stand, schedule: Schedule
):
    created = await schedule(deployment(stand))
    assert created == Result(0, "created user-embeddings: 0 */2 * * *\n", "")
    unchanged = await schedule(deployment(stand), "register")
    assert unchanged == Result(0, "unchanged user-embeddings: 0 */2 * * *\n", "")
    changed = await schedule(deployment(stand), "--cron", "5 4 * * *")
    assert changed == Result(0, "changed cron: found '0 */2 * * *', wanted '5 4 * * *'\n", "")
    assert [entry.cron for entry in stand.broker.timetable.all()] == ["5 4 * * *"]


async def test_check_ends_1_until_the_schedule_is_as_wanted(stand: Stand, schedule: Schedule):
    missing = await schedule(deployment(stand), "--check")
    assert missing == Result(1, "user-embeddings is not registered\n", "")
    await schedule(deployment(stand))
    fine = await schedule(deployment(stand), "--check")
    assert fine == Result(0, "user-embeddings is as it should be: 0 */2 * * *\n", "")
    stand.broker.timetable.get("user-embeddings").paused = True
    moved = deployment(stand) | {"APP_URL": "https://new.example"}
    differs = await schedule(moved, "register", "--check", "--cron", "5 4 * * *")
    assert (differs.code, differs.err) == (1, "")
    assert [line.partition(":")[0] for line in differs.out.splitlines()] == [
        "cron",
        "destination",
        "failure callback",
        "paused",
    ]
    assert stand.broker.timetable.get("user-embeddings").cron == "0 */2 * * *"


async def test_show_pause_resume_and_remove_need_nothing_but_the_account(
    stand: Stand, schedule: Schedule
):
    assert (await schedule(account(stand), "show")).code == 1
    await schedule(deployment(stand))
    shown = await schedule(account(stand), "show")
    assert shown.code == 0
    assert dict(line.split(maxsplit=1) for line in shown.out.splitlines()[:2]) == {
        "cron": "0 */2 * * *",
        "destination": URL,
    }
    assert await schedule(account(stand), "pause") == Result(0, "paused user-embeddings\n", "")
    assert stand.broker.timetable.get("user-embeddings").paused
    assert await schedule(account(stand), "resume") == Result(0, "resumed user-embeddings\n", "")
    assert not stand.broker.timetable.get("user-embeddings").paused
    assert await schedule(account(stand), "remove") == Result(0, "removed user-embeddings\n", "")
    again = await schedule(account(stand), "remove")
    assert again == Result(0, "user-embeddings was not registered\n", "")


async def test_trigger_publishes_a_start_message_and_names_it(stand: Stand, schedule: Schedule):
    result = await schedule(deployment(stand), "trigger")
    (message,) = stand.broker.messages
    assert result == Result(0, f"published a start message: {message.message_id}\n", "")
    assert parse(message.body) == Start()


async def curled(command: str, environ: dict[str, str]) -> tuple[str, list[tuple[str, str]]]:
    """Return the URL and the options with which the shell calls curl for this command."""
    instead = """curl() { printf '%s\\n' "$@"; }\n"""
    result = await process(environ, "sh", said=(instead + command).encode())
    assert (result.code, result.err) == (0, "")
    flag, method, url, *words = result.out.splitlines()
    assert (flag, method) == ("-X", "POST")
    return url, list(zip(words[::2], words[1::2], strict=True))


async def test_sign_prints_a_curl_command_that_passes_for_qstash_s_for_five_minutes(
    schedule: Schedule,
):
    result = await schedule({"APP_URL": APP, "QSTASH_CURRENT_SIGNING_KEY": KEY}, "sign")
    assert (result.code, result.err) == (0, "the signature is valid for 5 minutes\n")
    url, options = await curled(result.out, {})
    headers = dict(value.split(": ", 1) for option, value in options if option == "-H")
    assert url == URL
    assert headers.keys() == {"Content-Type", "Upstash-Signature"}
    (body,) = [value for option, value in options if option == "-d"]
    assert parse(body.encode()) == Start()
    token, keys, now = headers["Upstash-Signature"], SigningKeys(KEY, "other"), time.time()
    verify(token, body.encode(), URL, keys, now)
    verify(token, body.encode(), URL, keys, now + 300)
    with pytest.raises(Unauthorized, match=r"^expired$"):
        verify(token, body.encode(), URL, keys, now + 331)
    Receiver(KEY, KEY).verify(signature=token, body=body, url=URL)


async def test_sign_lets_the_shell_fill_in_the_bypass_secret(schedule: Schedule):
    bypass = {"VERCEL_AUTOMATION_BYPASS_SECRET": BYPASS}
    environ = {"VERCEL_PROJECT_PRODUCTION_URL": "app.example", "QSTASH_CURRENT_SIGNING_KEY": KEY}
    result = await schedule(environ | bypass, "sign")
    url, options = await curled(result.out, bypass)
    assert url == URL
    assert ("-H", f"x-vercel-protection-bypass: {BYPASS}") in options


@pytest.mark.fault(20)
@pytest.mark.parametrize("key", sorted(DEVELOPMENT_KEYS))
async def test_sign_refuses_a_key_that_everybody_knows_in_production(schedule: Schedule, key: str):
    environ = {"APP_URL": APP, "QSTASH_CURRENT_SIGNING_KEY": key}
    assert (await schedule(environ | {"VERCEL_ENV": "development"}, "sign")).code == 0
    result = await schedule(environ | {"VERCEL_ENV": "production"}, "sign")
    assert (result.code, result.out, result.err.count("\n")) == (2, "", 1)
    assert "must be your own in production" in result.err
    assert key not in result.err


async def test_schedule_user_embedding_generation_registers_from_the_environment(stand: Stand):
    program = (
        "from schedule import schedule_user_embedding_generation as schedule\n"
        'print(schedule("0 */2 * * *"))\n'
        "print(schedule())\n"
    )
    result = await process(deployment(stand), sys.executable, "-c", program)
    assert result == Result(
        0,
        "Registration(created=True, changes=())\nRegistration(created=False, changes=())\n",
        "",
    )


@pytest.mark.parametrize(
    ("arguments", "without"),
    [
        ([], "QSTASH_TOKEN"),
        (["register"], "APP_URL"),
        (["--check"], "APP_URL"),
        (["trigger"], "APP_URL"),
        (["show"], "QSTASH_TOKEN"),
        (["pause"], "QSTASH_TOKEN"),
        (["resume"], "QSTASH_TOKEN"),
        (["remove"], "QSTASH_TOKEN"),
        (["sign"], "QSTASH_CURRENT_SIGNING_KEY"),
        (["sign"], "APP_URL"),
        (["dlq"], "QSTASH_TOKEN"),
        (["dlq-retry"], "APP_URL"),
        (["dlq-drop"], "APP_URL"),
        (["rebuild"], "DATABASE_URL"),
        (["experiment"], "DATABASE_URL"),
        (["shadow"], "DATABASE_URL"),
        (["shadow-drop"], "DATABASE_URL"),
        (["why", USER], "DATABASE_URL"),
        (["export", USER], "UPSTASH_REDIS_REST_URL"),
        (["erase", USER], "DATABASE_URL"),
        (["opt-out", USER], "DATABASE_URL"),
        (["opt-in", USER], "DATABASE_URL"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value) or "default",
)
async def test_commands_end_2_with_one_line_for_a_variable_that_is_missing(
    stand: Stand, schedule: Schedule, arguments: list[str], without: str
):
    environ = deployment(stand) | EVERYTHING | {without: ""}
    result = await schedule(environ, *arguments)
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith(f"{without} is missing: ")
    assert result.err.count("\n") == 1
    assert stand.seen == []


@pytest.mark.parametrize(
    ("environ", "arguments"),
    [
        ({"QSTASH_TOKEN": "wrong"}, ["--check"]),
        ({"QSTASH_TOKEN": "canary with spaces"}, []),
        ({"QSTASH_URL": "http://127.0.0.1:1"}, ["show"]),
        ({}, ["pause"]),
        ({}, ["--cron", "every full moon"]),
        ({}, ["--cron", "0 0 * * *\nX: y"]),
        ({}, ["trigger"]),
        ({"QSTASH_TOKEN": "wrong"}, ["dlq"]),
    ],
    ids=["token", "spaces", "nobody there", "not registered", "cron", "line end", "refused", "dlq"],
)
async def test_commands_end_2_with_one_line_where_qstash_cannot_do_it(
    stand: Stand, schedule: Schedule, environ: dict[str, str], arguments: list[str]
):
    stand.fault = Refuse(500, f"echo {TOKEN}\n{BYPASS}\n")
    result = await schedule(deployment(stand) | environ, *arguments)
    assert (result.code, result.out) == (2, "")
    assert result.err.count("\n") == 1
    assert "Traceback" not in result.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["fly"],
        ["pause", "--check"],
        ["show", "--cron", "5 4 * * *"],
        ["--cron"],
        ["--seconds", "1"],
        ["why"],
        ["erase"],
        ["rebuild", USER],
        ["register", USER],
        ["dlq", "x"],
        ["erase", USER, "--check"],
    ],
    ids=" ".join,
)
async def test_commands_end_2_with_the_usage_for_arguments_that_mean_nothing(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
):
    with pytest.raises(SystemExit, match=r"^2$"):
        main(arguments, {})
    assert capsys.readouterr().err.startswith("usage: schedule.py ")
