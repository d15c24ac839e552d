"""QStash that keeps a message and does not say so: the page comes again, and forks no chain."""

from collections import Counter

import pytest
from asyncpg import Connection
from valkey.asyncio import Valkey as Redis

from dev import qstash
from dev.ageing import age_runs
from dev.proxy import Proxy
from dev.stack import Stack
from tests.conftest import Start, trigger
from tests.promises import open_work
from tests.scene import build
from tests.tally import Tally

pytestmark = [pytest.mark.fault(10), pytest.mark.timeout(300)]

SMALL = {"PAGE_SIZE": "4"}
PAGES = 5
WINDOW = 600.0  # seconds for which QStash knows a deduplication id
HOURS = 3600.0


class Silent:
    """Keeps the messages of `most` pages, and does not say so the first time."""

    def __init__(self, fault: Exception, most: int) -> None:
        self.most = most
        self.lost: set[bytes] = set()
        self._fault = fault

    async def __call__(self, message: qstash.Message, stage: qstash.Stage) -> None:
        again = message.body in self.lost or len(self.lost) == self.most
        if b"page" in message.body and stage is qstash.Stage.STORED and not again:
            self.lost.add(message.body)
            raise self._fault


def published(stack: Stack) -> Counter[bytes]:
    """Return how often each page's message was stored."""
    return Counter(message.body for message in stack.broker.messages if b"page" in message.body)


async def publish_each_page_twice(stack: Stack, silent: Silent, tally: Tally, wait: float) -> None:
    """Deliver whoever publishes a page twice, the second time so much later; then all the rest."""
    stack.broker.on_publish = silent
    message = await trigger(stack)
    tally.tried = 0
    while len(silent.lost) < silent.most:
        assert (await stack.broker.deliver(message)).status == 503
        stack.broker.clock.jump(wait)
        assert (await stack.broker.deliver(message)).status == 200
        tally.tried += 1
        message = stack.broker.messages[-1].message_id
    assert {delivery.status for delivery in await stack.broker.drain()} <= {200}


@pytest.mark.parametrize(
    ("fault", "most"),
    [
        pytest.param(qstash.Drop(), PAGES, id="cut off"),
        pytest.param(qstash.Refuse(500, '{"error":"internal"}'), PAGES, id="500"),
        pytest.param(qstash.Refuse(200, "<html>proxy</html>"), PAGES, id="no JSON"),
        pytest.param(qstash.Hang(), 1, id="never"),
    ],
)
async def test_publication_that_was_not_heard_of_is_a_duplicate_when_its_page_comes_again(  # noqa: PLR0917  # fixtures
    start: Start, connection: Connection, redis: Redis, tally: Tally, fault: Exception, most: int
):
    """The 202 that says so is a success: of each page there is one message, and one chain."""
    scene = await build(connection, users=20)
    stack = await start(SMALL)
    await publish_each_page_twice(stack, Silent(fault, most), tally, 0)
    assert sorted(published(stack).values()) == [1] * PAGES
    assert await connection.fetchval("SELECT count(*) FROM embedding.runs") == 1
    await tally.converged(connection, redis, scene.users)
    assert await open_work(connection) == (0, 0)


async def test_publication_repeated_after_qstash_forgot_it_forks_a_chain_that_ends_with_the_run(
    start: Start, connection: Connection, redis: Redis, tally: Tally
):
    """So each page has two messages, and none of them leads to a third."""
    scene = await build(connection, users=20)
    stack = await start(SMALL)
    await publish_each_page_twice(stack, Silent(qstash.Drop(), PAGES), tally, WINDOW + 60)
    assert sorted(published(stack).values()) == [2] * PAGES
    assert await connection.fetchval("SELECT count(*) FROM embedding.runs") == 1
    await tally.converged(connection, redis, scene.users)
    assert await open_work(connection) == (0, 0)


async def test_page_that_is_a_duplicate_of_one_given_up_is_made_good_by_the_next_run(
    start: Start, connection: Connection, redis: Redis, proxy: Proxy, tally: Tally
):
    """A tick publishes the page that the run hangs at; QStash takes it for the one it gave up."""
    scene = await build(connection, users=20)
    stack = await start({"PAGE_SIZE": "20"}, proxy=proxy)

    async def cut(kind: bytes, payload: bytes) -> None:
        if kind == b"P" and b"INSERT INTO user_embeddings" in payload:
            raise ConnectionResetError

    proxy.on_message = cut
    await trigger(stack)
    await stack.broker.drain()
    assert len(stack.broker.dead_letters) == 1
    proxy.on_message = None
    await trigger(stack)
    assert [d.status for d in await stack.broker.drain()] == [200]
    assert sorted(published(stack).values()) == [1]
    assert await open_work(connection) == (1, len(scene.users))
    await age_runs(connection, 2 * HOURS)
    await trigger(stack)
    assert {d.status for d in await stack.broker.drain()} == {200}
    await tally.converged(connection, redis, scene.users)
    assert await open_work(connection) == (0, 0)
