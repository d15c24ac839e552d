import asyncio
import base64
import json
from collections.abc import Awaitable, Callable

import pytest

from dev.qstash import DeadLetter
from lib.qstash.account import MOST as MOST_COUNTED
from lib.qstash.account import Account
from lib.qstash.dead_letters import MOST
from lib.qstash.message import Start, encode
from lib.settings import QueueSettings
from schedule import main
from tests import given_up
from tests.qstash.conftest import TOKEN, Stand

pytestmark = pytest.mark.asyncio(loop_scope="package")

APP = "https://app.example"
BYPASS = "canary-bypass-0123456789"
PROCESS, FAILED = f"{APP}/api/actions/batch-process", f"{APP}/api/actions/batch-failed"
RUN = "6f2b3c8e-8d6f-4a57-9b0a-0d3a9e8f1c11"
PAGE = f'{{"run":"{RUN}","page":3}}'.encode()
REPORT = json.dumps({"sourceBody": base64.b64encode(PAGE).decode(), "status": 503}).encode()
OTHERS = [
    "https://other.example/api/actions/batch-process",
    f"{APP}/api/actions/batch-process/x",
    "https://app.example.evil/api/actions/batch-process",
]

type Schedule = Callable[..., Awaitable[tuple[int, str, str]]]


@pytest.fixture
def environ(stand: Stand) -> dict[str, str]:
    return {
        "QSTASH_URL": stand.url,
        "QSTASH_TOKEN": TOKEN,
        "APP_URL": APP,
        "VERCEL_AUTOMATION_BYPASS_SECRET": BYPASS,
    }


@pytest.fixture
def schedule(environ: dict[str, str], capsys: pytest.CaptureFixture[str]) -> Schedule:
    """Run schedule.py's commands in this process; what they say holds no secret."""

    async def run(*arguments: str) -> tuple[int, str, str]:
        code = await asyncio.to_thread(main, list(arguments), environ)
        said = capsys.readouterr()
        assert "canary" not in said.out + said.err
        return code, said.out, said.err

    return run


def bury(
    stand: Stand,
    url: str = PROCESS,
    body: bytes = PAGE,
    status: int | None = 503,
    answer: bytes = b'{"error":"unavailable"}',
) -> DeadLetter:
    """Let the stand-in have given a message up."""
    return given_up.bury(stand.broker, url, body, status=status, answer=answer, bypass=BYPASS)


async def test_dlq_lists_what_is_ours_and_what_it_was(stand: Stand, schedule: Schedule):
    letters = [
        bury(stand),
        bury(stand, body=encode(Start()).encode(), status=None, answer=b"no answer within 9 s"),
        bury(stand, body=b"\xff", status=489, answer=b"\xff\xfe"),
        bury(stand, FAILED, REPORT, 500),
    ]
    for url in OTHERS:
        bury(stand, url)
    code, out, err = await schedule("dlq")
    assert (code, err) == (0, "")
    what = [f"page 3 of run {RUN}", "start", "malformed", f"report on page 3 of run {RUN}"]
    answers = [
        f'{PROCESS}: 503 {{"error":"unavailable"}}',
        f"{PROCESS}: no answer no answer within 9 s",
        f"{PROCESS}: 489 (no text)",
        f'{FAILED}: 500 {{"error":"unavailable"}}',
    ]
    *lines, last = out.splitlines()
    assert last == "4 dead letters"
    for place, letter in enumerate(letters):
        first, second, third = lines[3 * place : 3 * place + 3]
        assert first == f"{letter.dlq_id}  {what[place]}"
        assert second.startswith(f"  {letter.message.message_id}, published 20")
        assert third == f"  {answers[place]}"


async def test_answer_is_shortened_and_cannot_steer_a_terminal(stand: Stand, schedule: Schedule):
    bury(stand, answer=f"\x1b[2J\x07 {TOKEN} {BYPASS}\n".encode() + b"long " * 10_000)
    _, out, _ = await schedule("dlq")
    assert out.isascii()
    assert all(line.isprintable() for line in out.splitlines())
    assert "*** ***" in out
    assert len(out) < 1000


async def test_all_pages_of_the_dlq_are_read_up_to_a_bound(stand: Stand, schedule: Schedule):
    for _ in range(MOST - 1):
        bury(stand)
    _, out, _ = await schedule("dlq")
    assert out.splitlines()[-1] == f"{MOST - 1} dead letters"
    for _ in range(120):
        bury(stand)
    _, out, _ = await schedule("dlq")
    assert out.splitlines()[-1] == f"{MOST} dead letters, and there may be more: call again"


async def test_retry_of_one_sends_that_one_again_as_it_was(stand: Stand, schedule: Schedule):
    one, other = bury(stand), bury(stand, FAILED, REPORT)
    said = await schedule("dlq-retry", one.dlq_id)
    assert said == (0, f"{one.dlq_id}  page 3 of run {RUN}: sent again\n", "")
    assert stand.broker.dead_letters == [other]
    [again] = stand.broker.pending()
    assert (again.url, again.body, again.letter.headers) == (
        PROCESS,
        PAGE,
        one.message.letter.headers,
    )


@pytest.mark.parametrize(("command", "sent"), [("dlq-retry", 2), ("dlq-drop", 0)])
async def test_without_an_id_all_of_ours_and_nothing_else_is_meant(
    stand: Stand, schedule: Schedule, command: str, sent: int
):
    strangers = [bury(stand, url) for url in OTHERS]
    bury(stand)
    bury(stand, FAILED, REPORT)
    code, out, err = await schedule(command)
    assert (code, err, len(out.splitlines())) == (0, "", 3)
    assert stand.broker.dead_letters == strangers
    assert len(stand.broker.pending()) == sent


@pytest.mark.parametrize("command", ["dlq-retry", "dlq-drop"])
async def test_what_is_not_ours_is_not_touched(stand: Stand, schedule: Schedule, command: str):
    strangers = [bury(stand, url) for url in OTHERS]
    for name in [stranger.dlq_id for stranger in strangers] + ["gone", "..", "a/b", "", "x" * 999]:
        code, out, err = await schedule(command, name)
        assert (code, out) == (2, "")
        assert err == f"{name!r} is no dead letter of this deployment\n"
    assert stand.broker.dead_letters == strangers
    assert stand.broker.pending() == []


async def test_empty_dlq_is_no_trouble(schedule: Schedule):
    assert await schedule("dlq") == (0, "0 dead letters\n", "")
    assert await schedule("dlq-retry") == (0, "0 dead letters sent again\n", "")


@pytest.mark.parametrize(
    ("pages", "reports", "counted"),
    [(0, 0, 0), (2, 1, 3), (0, 1, 1), (MOST_COUNTED - 1, 3, MOST_COUNTED), (101, 1, MOST_COUNTED)],
)
async def test_status_counts_what_the_command_lists_up_to_a_bound(
    stand: Stand, environ: dict[str, str], pages: int, reports: int, counted: int
):
    for url in OTHERS:
        bury(stand, url)
    for _ in range(pages):
        bury(stand, body=b"\xff")
    for _ in range(reports):
        bury(stand, FAILED, REPORT)
    account = Account(QueueSettings.load(environ), seconds=50)
    assert await account.dead_letters() == counted
    await account.close()
