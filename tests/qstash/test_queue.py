import asyncio
import logging
import socket
import time
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import pytest

from dev.qstash import Drop, Hang, Refuse, Stage
from dev.qstash.flow_control import Limits
from lib.errors import Unavailable
from lib.qstash.message import Page, Start, deduplication_id, parse
from lib.qstash.queue import Queue
from lib.settings import QueueSettings
from tests.qstash.conftest import TOKEN, Stand

pytestmark = pytest.mark.asyncio(loop_scope="package")

APP = "https://app.example"
BYPASS = "canary-bypass-0123456789"
PAGE = Page(UUID("6f9619ff-8b86-4d01-b42d-00cf4fc964ff"), 7)


@asynccontextmanager
async def connected(
    stand: Stand, *, bypass: str | None = None, seconds: float = 10.0
) -> AsyncIterator[Queue]:
    """Yield a queue that publishes to `stand`."""
    queue = Queue(QueueSettings(stand.url, TOKEN, APP, bypass), seconds)
    try:
        yield queue
    finally:
        await queue.close()


async def test_publish_page_says_all_that_a_continuation_needs(stand: Stand):
    async with connected(stand, bypass=BYPASS) as queue:
        await queue.publish_page(PAGE, chains=3)
    (message,) = stand.broker.messages
    letter = message.letter
    assert parse(message.body) == PAGE
    assert letter.url == f"{APP}/api/actions/batch-process"
    assert letter.method == "POST"
    assert dict(letter.headers) == {
        "Content-Type": "application/json",
        "X-Vercel-Protection-Bypass": BYPASS,
    }
    assert letter.deduplication == f"id:{deduplication_id(PAGE)}"
    assert letter.limits == Limits("user-embeddings", parallelism=3, rate=None, period=1)
    assert (letter.retries, letter.retry_delay) == (3, "20000 * pow(3, retried)")
    assert letter.label == "user-embeddings"
    assert letter.delay == 0
    assert letter.failure_callback is not None
    assert letter.failure_callback.url == f"{APP}/api/actions/batch-failed"
    assert dict(letter.failure_callback.headers)["X-Vercel-Protection-Bypass"] == BYPASS


async def test_publish_start_says_the_same_but_for_flow_and_name(stand: Stand):
    async with connected(stand, bypass=BYPASS) as queue:
        await queue.publish_page(PAGE, chains=1)
        message_id = await queue.publish_start()
    page, start = stand.broker.messages
    assert start.message_id == message_id
    assert parse(start.body) == Start()
    assert start.letter.deduplication is None
    assert start.letter.limits is None
    for name in ("url", "method", "headers", "retries", "retry_delay", "failure_callback", "label"):
        assert getattr(start.letter, name) == getattr(page.letter, name)


async def test_publish_sends_no_bypass_where_none_is_set(stand: Stand):
    async with connected(stand) as queue:
        await queue.publish_page(PAGE, chains=1)
    assert "bypass" not in repr(stand.broker.messages[0].letter).lower()


@pytest.mark.fault(10)
async def test_publish_page_again_adds_no_message(stand: Stand):
    async with connected(stand) as queue:
        for _ in range(3):
            await queue.publish_page(PAGE, chains=1)
        await queue.publish_page(Page(PAGE.run, 8), chains=1)
    assert [parse(message.body) for message in stand.broker.messages] == [PAGE, Page(PAGE.run, 8)]


@pytest.mark.fault(10)
async def test_publish_page_again_after_a_lost_answer_adds_no_message(stand: Stand):
    stand.fault = Drop()
    stand.stage = Stage.STORED
    async with connected(stand) as queue:
        with pytest.raises(Unavailable):
            await queue.publish_page(PAGE, chains=1)
        await queue.publish_page(PAGE, chains=1)
    assert stand.broker.messages == stand.seen


async def test_publish_start_again_adds_a_message(stand: Stand):
    async with connected(stand) as queue:
        assert await queue.publish_start() != await queue.publish_start()
    assert len(stand.broker.messages) == 2


async def test_queue_publishes_side_by_side_and_after_a_close(stand: Stand):
    async with connected(stand) as queue:
        pages = [Page(PAGE.run, number) for number in range(8)]
        await asyncio.gather(*(queue.publish_page(page, chains=8) for page in pages))
        await queue.close()
        await queue.close()
        await queue.publish_start()
    assert {parse(message.body) for message in stand.broker.messages} == {*pages, Start()}


async def test_queue_works_in_one_loop_after_another(stand: Stand):
    async def publish() -> None:
        async with connected(stand) as queue:
            await queue.publish_start()

    for _ in range(2):
        await asyncio.to_thread(asyncio.run, publish())
    assert len(stand.broker.messages) == 2


REFUSALS = {
    "400": Refuse(400, '{"error":"invalid destination url"}'),
    "401": Refuse(401, '{"error":"unauthorized"}'),
    "404": Refuse(404, "<h1>not found</h1>"),
    "412": Refuse(412, '{"error":"quota"}'),
    "429": Refuse(429, '{"error":"slow down"}'),
    "500": Refuse(500, ""),
    "503": Refuse(503, "\n\nupstream\tconnect error\n"),
    "redirect": Refuse(302, ""),
}
NONSENSE = {
    "nothing": Refuse(200, ""),
    "no JSON": Refuse(200, "<html>maintenance</html>"),
    "cut off": Refuse(200, '{"messageId":'),
    "null": Refuse(200, "null"),
    "a number": Refuse(200, "7"),
    "a text": Refuse(200, '"msg_1"'),
    "an empty list": Refuse(200, "[]"),
    "a list of texts": Refuse(200, '["msg_1"]'),
    "a url group's list": Refuse(200, '[{"messageId":"msg_1","url":"https://x.example"}]'),
    "no id": Refuse(200, "{}"),
    "an id that is null": Refuse(200, '{"messageId":null}'),
    "an id that is a number": Refuse(200, '{"messageId":7}'),
    "an id that is empty": Refuse(202, '{"messageId":"","deduplicated":true}'),
    "deep": Refuse(200, "[" * 100_000),
}


@pytest.mark.fault(10)
@pytest.mark.parametrize("fault", REFUSALS.values(), ids=REFUSALS.keys())
async def test_publish_is_unavailable_at_once_where_qstash_refuses(stand: Stand, fault: Refuse):
    stand.fault = fault
    async with connected(stand) as queue:
        with pytest.raises(Unavailable, match=r"^qstash refused: .") as raised:
            await queue.publish_page(PAGE, chains=1)
    assert len(stand.seen) == 1
    assert "\n" not in str(raised.value)


async def test_publish_passes_on_what_qstash_says(stand: Stand):
    stand.fault = Refuse(400, '{"error":"invalid destination url: loopback"}')
    async with connected(stand) as queue:
        with pytest.raises(Unavailable, match=r"400.*invalid destination url: loopback"):
            await queue.publish_start()


@pytest.mark.fault(10)
@pytest.mark.parametrize("fault", NONSENSE.values(), ids=NONSENSE.keys())
async def test_publish_is_unavailable_at_once_where_the_answer_is_nonsense(
    stand: Stand, fault: Refuse
):
    stand.fault = fault
    async with connected(stand) as queue:
        with pytest.raises(Unavailable, match=r"^qstash answered nonsense: "):
            await queue.publish_page(PAGE, chains=1)
    assert len(stand.seen) == 1


@pytest.mark.fault(10)
@pytest.mark.parametrize("stage", Stage)
async def test_publish_is_unavailable_once_its_time_is_up(stand: Stand, stage: Stage):
    stand.fault = Hang()
    stand.stage = stage
    async with connected(stand, seconds=0.3) as queue:
        started = time.monotonic()
        with pytest.raises(Unavailable, match=r"^qstash is out of reach: .*Timeout"):
            await queue.publish_page(PAGE, chains=1)
    assert 0.25 < time.monotonic() - started < 3
    assert len(stand.seen) == 1


@pytest.mark.fault(10)
async def test_publish_is_unavailable_once_its_time_is_up_though_bytes_trickle_in():
    async def trickle(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n")
        try:
            while not writer.is_closing():
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.05)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(trickle, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    queue = Queue(QueueSettings(f"http://{host}:{port}", TOKEN, APP, None), seconds=0.3)
    async with server:
        started = time.monotonic()
        with pytest.raises(Unavailable, match=r"^qstash is out of reach: TimeoutError$"):
            await queue.publish_start()
        assert time.monotonic() - started < 3
        await queue.close()


@pytest.mark.fault(10)
async def test_publish_is_unavailable_at_once_where_nobody_listens():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    queue = Queue(QueueSettings(url, TOKEN, APP, None))
    started = time.monotonic()
    with pytest.raises(Unavailable, match=r"^qstash is out of reach: ConnectError$"):
        await queue.publish_start()
    assert time.monotonic() - started < 3
    await queue.close()


@pytest.mark.parametrize(
    "url", ["http://[::1", f"http://{'a' * 70}.invalid"], ids=["bracket", "label"]
)
async def test_publish_is_unavailable_where_the_url_leads_nowhere(url: str):
    queue = Queue(QueueSettings(url, TOKEN, APP, None))
    with pytest.raises(Unavailable):
        await queue.publish_start()
    await queue.close()


async def test_publish_is_cancelled_as_any_other_wait(stand: Stand):
    stand.fault = Hang()
    async with connected(stand) as queue:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await queue.publish_start()


@pytest.mark.parametrize(
    "fault",
    [
        Refuse(401, f'{{"error":"no such token: {TOKEN}"}}'),
        Refuse(500, f"{BYPASS}\n" * 50),
        Refuse(200, f'"{BYPASS}"'),
        Drop(),
        Hang(),
    ],
    ids=["token echoed", "bypass echoed", "nonsense", "drop", "hang"],
)
async def test_publish_shows_no_secret(
    stand: Stand, fault: Exception, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG)
    stand.fault = fault
    async with connected(stand, bypass=BYPASS, seconds=0.3) as queue:
        with pytest.raises(Unavailable) as raised:
            await queue.publish_page(PAGE, chains=1)
        assert "canary" not in shown(raised.value) + repr(queue) + caplog.text


@pytest.mark.parametrize(
    "bypass", [f"{BYPASS}\r\nX: y", f"{BYPASS}é"], ids=["line end", "not ASCII"]
)
async def test_publish_shows_no_secret_that_no_header_can_carry(stand: Stand, bypass: str):
    async with connected(stand, bypass=bypass) as queue:
        with pytest.raises(Unavailable) as raised:
            await queue.publish_page(PAGE, chains=1)
    assert "canary" not in shown(raised.value)


def shown(error: Exception) -> str:
    """Return all that a log would show of an error."""
    return repr(error) + "".join(traceback.format_exception(error))
