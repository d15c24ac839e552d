import asyncio
import logging
import socket
import time
import traceback
from collections.abc import Callable, MutableMapping
from typing import Any

import pytest
from qstash import QStash
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from dev.qstash import Message
from dev.serve import serve
from lib.errors import Unavailable
from lib.qstash.message import Start, parse
from lib.qstash.queue import Queue
from lib.qstash.schedule import EVERY_TWO_HOURS, wanted
from lib.qstash.timetable import Registration, Timetable, timetable
from lib.settings import QueueSettings
from tests.qstash.conftest import TOKEN, Stand

pytestmark = pytest.mark.asyncio(loop_scope="package")

APP = "https://app.example"
BYPASS = "canary-bypass-0123456789"


def settings(stand: Stand) -> QueueSettings:
    return QueueSettings(stand.url, TOKEN, APP, BYPASS)


async def using[T](
    stand: Stand, use: Callable[[Timetable], T], token: str = TOKEN, seconds: float = 10.0
) -> T:
    """Let `use` have a timetable, off the loop in which the stand-in runs."""

    def work() -> T:
        with timetable(stand.url, token, BYPASS, seconds) as opened:
            return use(opened)

    return await asyncio.to_thread(work)


async def registered(stand: Stand, cron: str = EVERY_TWO_HOURS) -> Registration:
    return await using(stand, lambda opened: opened.register(settings(stand), cron))


async def test_register_creates_the_schedule(stand: Stand):
    assert await using(stand, Timetable.find) is None
    assert await registered(stand) == Registration(created=True, changes=())
    assert await using(stand, Timetable.find) == wanted(settings(stand))


async def test_register_again_changes_nothing(stand: Stand):
    await registered(stand)
    assert await registered(stand) == Registration(created=False, changes=())
    assert len(stand.broker.timetable.all()) == 1


async def test_register_says_what_it_changed(stand: Stand):
    await registered(stand)
    assert await registered(stand, "5 4 * * *") == Registration(
        created=False, changes=("cron: found '0 */2 * * *', wanted '5 4 * * *'",)
    )
    assert await using(stand, Timetable.find) == wanted(settings(stand), "5 4 * * *")


async def test_register_resumes_a_paused_schedule_and_says_so(stand: Stand):
    await registered(stand)
    await using(stand, Timetable.pause)
    assert await registered(stand) == Registration(
        created=False, changes=("paused: found True, wanted False",)
    )
    assert not stand.broker.timetable.get("user-embeddings").paused


async def test_register_resumes_a_schedule_that_inherits_the_pause(stand: Stand):
    await registered(stand)
    stand.broker.timetable.get("user-embeddings").paused = True
    inner = stand.broker.app

    async def inheriting(scope: Scope, receive: Receive, send: Send) -> None:
        async def pause_first(answer: MutableMapping[str, Any]) -> None:
            if scope["method"] == "POST":
                stand.broker.timetable.get("user-embeddings").paused = True
            await send(answer)

        await inner(scope, receive, pause_first)

    stand.broker.app = inheriting
    await registered(stand)
    assert not stand.broker.timetable.get("user-embeddings").paused


async def test_register_replaces_a_bypass_secret_that_changed(stand: Stand):
    await registered(stand)
    other = QueueSettings(stand.url, TOKEN, APP, "canary-bypass-new")
    await using(stand, lambda opened: opened.register(other, EVERY_TWO_HOURS))
    letter = stand.broker.timetable.get("user-embeddings").letter
    assert dict(letter.headers)["X-Vercel-Protection-Bypass"] == "canary-bypass-new"


async def test_register_takes_over_a_schedule_made_otherwise(stand: Stand):
    def make(_: Timetable) -> None:
        client = QStash(TOKEN, base_url=stand.url, retry=False)
        client.schedule.create(
            destination="https://old.example",
            cron="0 0 1 1 *",
            schedule_id="user-embeddings",
            method="GET",
            retries=1,
        )
        client.http._client.close()  # noqa: SLF001  # qstash 3.4 has no way to close

    await using(stand, make)
    registration = await registered(stand)
    assert [line.partition(":")[0] for line in registration.changes] == [
        "cron",
        "destination",
        "method",
        "body",
        "retries",
        "failure callback",
    ]
    assert await using(stand, Timetable.find) == wanted(settings(stand))


def letter_of(message: Message) -> dict[str, Any]:
    names = ("url", "body", "headers", "method", "retries", "retry_delay", "failure_callback")
    return {name: getattr(message.letter, name) for name in (*names, "label", "limits", "timeout")}


async def test_ticks_and_triggers_publish_the_same_message(stand: Stand):
    await registered(stand)
    await stand.broker.tick("user-embeddings")
    queue = Queue(settings(stand))
    message_id = await queue.publish_start()
    await queue.close()
    tick, trigger = stand.broker.messages
    assert trigger.message_id == message_id
    assert letter_of(tick) == letter_of(trigger)
    assert parse(tick.body) == Start()
    assert tick.letter.url == f"{APP}/api/actions/batch-process"
    assert (tick.letter.method, tick.letter.retries) == ("POST", 3)
    assert tick.letter.retry_delay == "20000 * pow(3, retried)"
    assert tick.letter.label == "user-embeddings"
    assert tick.letter.limits is None
    assert dict(tick.letter.headers)["X-Vercel-Protection-Bypass"] == BYPASS
    assert tick.letter.failure_callback is not None
    assert tick.letter.failure_callback.url == f"{APP}/api/actions/batch-failed"
    assert dict(tick.letter.failure_callback.headers)["X-Vercel-Protection-Bypass"] == BYPASS


async def test_pause_and_resume_turn_the_schedule_off_and_on(stand: Stand):
    await registered(stand)
    schedule = stand.broker.timetable.get("user-embeddings")
    for _ in range(2):
        await using(stand, Timetable.pause)
        assert schedule.paused
    for _ in range(2):
        await using(stand, Timetable.resume)
        assert not schedule.paused


async def test_remove_says_whether_there_was_a_schedule(stand: Stand):
    await registered(stand)
    assert await using(stand, Timetable.remove)
    assert not await using(stand, Timetable.remove)
    assert stand.broker.timetable.all() == []


@pytest.mark.parametrize("call", [Timetable.pause, Timetable.resume])
async def test_pause_and_resume_are_unavailable_without_a_schedule(
    stand: Stand, call: Callable[[Timetable], None]
):
    with pytest.raises(Unavailable, match=r"^qstash refused: .*404"):
        await using(stand, call)


async def test_register_is_unavailable_with_qstash_s_reason_for_a_malformed_cron(stand: Stand):
    with pytest.raises(Unavailable, match=r"^qstash refused: .*400.*every full moon"):
        await registered(stand, "every full moon")


@pytest.mark.parametrize(
    "call",
    [
        Timetable.find,
        Timetable.pause,
        Timetable.resume,
        Timetable.remove,
        lambda opened: opened.register(settings(Stand()), EVERY_TWO_HOURS),
    ],
    ids=["find", "pause", "resume", "remove", "register"],
)
class TestEveryCall:
    async def test_is_unavailable_with_a_wrong_token(
        self, stand: Stand, call: Callable[[Timetable], Any]
    ):
        with pytest.raises(Unavailable, match=r"^qstash refused: .*401"):
            await using(stand, call, token="wrong")

    async def test_is_unavailable_at_once_where_nobody_listens(
        self, call: Callable[[Timetable], Any]
    ):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        started = time.monotonic()
        with pytest.raises(Unavailable, match=r"^qstash is out of reach: ConnectError$"):
            await using(Stand(url), call)
        assert time.monotonic() - started < 3

    async def test_is_unavailable_once_its_time_is_up(self, call: Callable[[Timetable], Any]):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            url = f"http://127.0.0.1:{silent.getsockname()[1]}"
            started = time.monotonic()
            with pytest.raises(Unavailable, match=r"^qstash is out of reach: ReadTimeout$"):
                await using(Stand(url), call, seconds=0.2)
        assert time.monotonic() - started < 3

    async def test_shows_no_secret_that_is_echoed(
        self, call: Callable[[Timetable], Any], caplog: pytest.LogCaptureFixture
    ):
        caplog.set_level(logging.DEBUG)
        async with serve(Response(f"not {TOKEN}, nor {BYPASS}", 401)) as url:
            with pytest.raises(Unavailable, match=r"^qstash refused: .*401") as raised:
                await using(Stand(url), call)
        shown = "".join(traceback.format_exception(raised.value))
        assert "canary" not in repr(raised.value) + shown + caplog.text
