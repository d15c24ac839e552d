"""Secrets that can be recognised, looked for in all that schedule.py says, well or ill."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from uuid import UUID, uuid4

import pytest
from asyncpg import Connection
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from dev.s3 import S3
from dev.serve import serve
from schedule import main
from tests.conftest import CANARIES, Start, assert_hidden, trigger, with_password
from tests.promises import rows
from tests.scene import build
from tests.tally import Tally

pytestmark = [pytest.mark.fault(28), pytest.mark.timeout(300)]

EXPERIMENT = "trial:baseline=50,centred=50"

type Say = Callable[[Mapping[str, str], UUID], Awaitable[dict[str, int | None]]]
"""Run every command, of that user where it is of one; return how each ended."""


def commands(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return every command there is, as the parser tells who types another."""
    with pytest.raises(SystemExit):
        main(["no-such-command"], {})
    return re.findall("[a-z][a-z-]+", capsys.readouterr().err.partition("choose from")[2])


@pytest.fixture
def say(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, s3: S3, tally: Tally
) -> Say:
    for name, value in s3.environ.items():
        monkeypatch.setenv(name, value)  # boto3 reads its own

    def ended(environ: Mapping[str, str], *arguments: str) -> int | None:
        try:
            return main([*arguments], environ)
        except SystemExit:  # it takes an id, or takes none
            return None

    async def run(environ: Mapping[str, str], user: UUID) -> dict[str, int | None]:
        codes = {}
        for command in [*commands(capsys), "--check"]:
            for arguments in ((command,), (command, str(user))):
                code = await asyncio.to_thread(ended, environ, *arguments)
                said = capsys.readouterr()
                assert_hidden((said.out + said.err).encode(), CANARIES)
                assert "Traceback" not in said.err
                codes[" ".join(arguments)] = code
                tally.tried += 1
        return codes

    return run


async def test_no_command_shows_a_secret_of_a_deployment_that_is_well(
    start: Start, connection: Connection, s3: S3, say: Say
):
    await build(connection, users=20)
    stack = await start({**s3.environ, "EMBEDDING_SHADOW": "centred"})
    await trigger(stack)
    await stack.broker.drain()
    assert any(key.endswith("manifest.json") for key in s3.objects())
    user = next(iter(await rows(connection)))
    codes = await say(stack.environ, user)
    assert len(codes) > 40
    well = {name for name, code in codes.items() if code == 0}
    assert well >= {
        *("register", "show", "trigger", "pause", "resume", "remove", "sign", "dlq", "restore"),
        *("status-link", "rebuild", "shadow", "shadow-drop"),
        *(f"{name} {user}" for name in ("why", "export", "erase", "opt-out", "opt-in")),
    }


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Say back whatever came, as a server's error page may; what is secret comes first."""
    request = Request(scope, receive)
    first = request.headers.get("upstash-forward-x-vercel-protection-bypass")
    said = f"{first} {request.headers.get('authorization')} {dict(request.headers)}"
    await Response(said, 500)(scope, receive, send)


async def test_no_command_shows_a_secret_where_every_service_says_it_back(
    start: Start, functions_url: str, say: Say
):
    stack = await start({"EMBEDDING_EXPERIMENT": EXPERIMENT})
    async with serve(echo) as url:
        services = {"QSTASH_URL": url, "UPSTASH_REDIS_REST_URL": url, "APP_URL": url}
        for database in (
            with_password(functions_url),
            with_password("postgresql://u@127.0.0.1:1/x"),
        ):
            environ = {**stack.environ, **services, "DATABASE_URL": database}
            codes = await say(environ, uuid4())
            assert {codes["register"], codes["trigger"], codes["dlq"]} == {2}


@pytest.mark.parametrize(
    "names",
    [
        ("QSTASH_TOKEN", "QSTASH_CURRENT_SIGNING_KEY", "QSTASH_NEXT_SIGNING_KEY"),
        ("DATABASE_URL", "UPSTASH_REDIS_REST_TOKEN"),
        ("API_TOKEN", "ADMIN_TOKEN", "VERCEL_AUTOMATION_BYPASS_SECRET"),
    ],
    ids=["qstash", "postgres and redis", "doors"],
)
async def test_no_command_shows_a_secret_that_breaks_its_rule(
    start: Start, say: Say, names: tuple[str, ...]
):
    stack = await start()
    spoilt = {name: f"{stack.environ[name]} with spaces" for name in names}
    codes = await say({**stack.environ, **spoilt}, uuid4())
    assert 2 in codes.values()
