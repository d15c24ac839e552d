"""A function whose clock is an hour off: no vector is dated by it, and no message is believed."""

from pathlib import Path

import pytest
from asyncpg import Connection
from valkey.asyncio import Valkey as Redis

from tests.conftest import Start, trigger
from tests.promises import open_work, rows
from tests.scene import build
from tests.tally import Tally

FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)

pytestmark = [
    pytest.mark.fault(14),
    pytest.mark.timeout(300),
    pytest.mark.skipif(FAKETIME is None, reason="libfaketime is not installed"),
]


@pytest.mark.parametrize(
    ("shift", "status"),
    [("-90s", 401), ("-20s", 200), ("+20s", 200), ("+90s", 200), ("-1h", 401), ("+1h", 401)],
)
async def test_vectors_are_dated_by_the_database_or_the_message_is_refused(  # noqa: PLR0917  # fixtures
    start: Start, connection: Connection, redis: Redis, tally: Tally, shift: str, status: int
):
    """Ahead, a token's life of five minutes is the slack as well; behind, the leeway alone."""
    scene = await build(connection, users=10)
    stack = await start({"LD_PRELOAD": str(FAKETIME), "FAKETIME": shift})
    before = await connection.fetchval("SELECT clock_timestamp()")
    start_message = await trigger(stack)
    answer = await stack.broker.deliver(start_message)
    assert answer.status == status
    if status == 401:
        assert await connection.fetchval("SELECT count(*) FROM embedding.runs") == 0
        return
    assert {delivery.status for delivery in await stack.broker.drain()} == {200}
    after = await connection.fetchval("SELECT clock_timestamp()")
    assert all(before <= row.generated_at <= after for row in (await rows(connection)).values())
    await tally.converged(connection, redis, scene.users)
    assert await open_work(connection) == (0, 0)
