"""Several processes and chains over one database at once: the same table as one makes."""

import asyncio

import pytest
from asyncpg import Connection
from valkey.asyncio import Valkey as Redis

from lib.qstash.message import Page
from lib.qstash.queue import Queue
from lib.settings import QueueSettings
from tests.conftest import Start, trigger
from tests.promises import counts, open_work
from tests.scene import build
from tests.tally import Tally

pytestmark = pytest.mark.timeout(300)


@pytest.mark.fault(3)
@pytest.mark.parametrize("chains", [2, 4, 8])
async def test_two_processes_on_the_same_chains_agree(
    start: Start, connection: Connection, redis: Redis, tally: Tally, chains: int
):
    """The second gets every page of the first one's run, in the opposite order."""
    scene = await build(connection)
    settings = {"PAGE_SIZE": "3", "PARALLEL_CHAINS": str(chains)}
    one, two = await start(settings), await start(settings)
    await trigger(one)
    await one.broker.drain(max_deliveries=1)
    run = await connection.fetchrow("SELECT id, pages FROM embedding.runs")
    queue = Queue(QueueSettings.load(two.environ))
    for page in reversed(range(run["pages"])):
        await queue.publish_page(Page(run["id"], page), chains)
    await queue.close()
    both = await asyncio.gather(one.broker.drain(), two.broker.drain())
    assert {delivery.status for deliveries in both for delivery in deliveries} <= {200, 503}
    tally.tried += run["pages"]
    vectors = await tally.converged(connection, redis, scene.users)
    assert await open_work(connection) == (0, 0)
    assert (await counts(connection))["processed"] == vectors
