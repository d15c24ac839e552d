"""Messages up to three times, in any order, a day late: the tables are as a quiet run left them."""

import pytest
from asyncpg import Connection
from valkey.asyncio import Valkey as Redis

from tests.conftest import Start, trigger
from tests.promises import open_work
from tests.scene import build
from tests.tally import Tally

pytestmark = [pytest.mark.fault(1, 2), pytest.mark.timeout(300)]

DAY = 86_400
TABLES = {
    "user_embeddings": "SELECT * FROM user_embeddings ORDER BY user_id",
    "runs": "SELECT * FROM embedding.runs ORDER BY number",
    "counts": "SELECT * FROM embedding.run_counts ORDER BY run_id, name",
    "work": "SELECT * FROM embedding.run_users ORDER BY user_id",
    "due": "SELECT * FROM embedding.due ORDER BY user_id, reason",
    "failures": "SELECT * FROM embedding.failures ORDER BY user_id",
}


async def dump(connection: Connection) -> dict[str, str]:
    """Return every row of what a run writes."""
    return {name: str(await connection.fetch(query)) for name, query in TABLES.items()}


@pytest.mark.parametrize("copies", [1, 2, 3])
async def test_page_messages_again_in_any_order_and_a_day_late_leave_every_table_as_it_was(
    start: Start, connection: Connection, redis: Redis, tally: Tally, copies: int
):
    random = tally.dice()
    scene = await build(connection, users=30)
    stack = await start({"PAGE_SIZE": "5", "PARALLEL_CHAINS": "3"})
    stack.broker.copies = copies
    stack.broker.shuffle = random
    await trigger(stack)
    assert {delivery.status for delivery in await stack.broker.drain()} == {200}
    before = await dump(connection)
    again = [m.message_id for m in stack.broker.messages if b"page" in m.body] * copies
    random.shuffle(again)
    stack.broker.clock.jump(DAY)
    for message in again:
        assert (await stack.broker.deliver(message)).status == 200
    tally.tried += len(again)
    assert stack.broker.pending() == []
    assert await dump(connection) == before
    await tally.converged(connection, redis, scene.users)
    assert await open_work(connection) == (0, 0)
