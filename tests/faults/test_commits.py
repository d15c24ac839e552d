"""A COMMIT that is done and whose answer is lost: the message comes again, and changes nothing."""

import pytest
from asyncpg import Connection
from valkey.asyncio import Valkey as Redis

from dev.proxy import LoseAnswer, Proxy
from lib.embedding.schemes import find_scheme
from lib.store.vectors import REMOVE
from tests.conftest import Start, trigger
from tests.promises import counts, open_work, rows
from tests.scene import build
from tests.tally import Tally

pytestmark = [pytest.mark.fault(6), pytest.mark.timeout(300)]


class Losing:
    """Loses the answer to whatever commits a statement: its own, or its transaction's COMMIT.

    One connection at a time is watched, the one that the statement came by: the chain is single.
    """

    def __init__(self, statement: bytes) -> None:
        self.lost = 0
        self._statement = statement
        self._reached = False
        self._alone = True

    async def __call__(self, kind: bytes, payload: bytes) -> None:
        if kind == b"P" and self._statement in payload:
            self._reached = True
        commit = kind == b"Q" and payload.startswith(b"COMMIT")
        commits = kind == b"E" if self._alone else commit
        if kind == b"Q":
            self._alone = not payload.startswith(b"BEGIN")
        if self._reached and commits and not self.lost:
            self.lost += 1
            raise LoseAnswer


@pytest.mark.parametrize(
    ("statement", "scheme"),
    [
        pytest.param(b"INSERT INTO embedding.run_users", "baseline", id="the plan"),
        pytest.param(b"INSERT INTO user_embeddings", "baseline", id="the vectors"),
        pytest.param(b"INSERT INTO user_embeddings", "recommended", id="vectors and interests"),
        pytest.param(b"DELETE FROM embedding.run_users USING run", "baseline", id="users done"),
    ],
)
async def test_work_whose_commit_was_not_heard_of_is_counted_once_and_lost_never(  # noqa: PLR0917  # fixtures
    start: Start,
    connection: Connection,
    redis: Redis,
    proxy: Proxy,
    tally: Tally,
    statement: bytes,
    scheme: str,
):
    scene = await build(connection, users=20)
    stack = await start({"PAGE_SIZE": "10", "EMBEDDING_SCHEME": scheme}, proxy=proxy)
    losing = Losing(statement)
    proxy.on_message = losing
    await trigger(stack)
    deliveries = await stack.broker.drain()
    assert losing.lost == 1
    assert [d.status for d in deliveries].count(503) == 1
    assert await connection.fetchval("SELECT count(*) FROM embedding.runs") == 1
    assert await open_work(connection) == (0, 0)
    vectors = await tally.converged(connection, redis, scene.users, find_scheme(scheme))
    assert (await counts(connection))["processed"] == vectors


async def test_removal_whose_commit_was_not_heard_of_takes_row_and_key_and_no_other_s(
    start: Start, connection: Connection, redis: Redis, proxy: Proxy, tally: Tally
):
    """All that some users did is deleted, so that nothing is left of their vectors."""
    scene = await build(connection, users=20)
    stack = await start({"PAGE_SIZE": "10", "WINDOW_OVERLAP_SECONDS": "0"}, proxy=proxy)
    await trigger(stack)
    await stack.broker.drain()
    gone = sorted(await rows(connection))[::3]
    async with connection.transaction():
        await connection.execute("DELETE FROM action_log WHERE user_id = ANY ($1)", gone)
        await connection.execute("SELECT embedding.report_deleted_actions($1)", gone)
    losing = Losing(REMOVE.strip().encode())
    proxy.on_message = losing
    await trigger(stack)
    deliveries = await stack.broker.drain()
    assert losing.lost == 1
    assert [d.status for d in deliveries].count(503) == 1
    assert await open_work(connection) == (0, 0)
    await tally.converged(connection, redis, scene.users)
    assert not set(gone) & set(await rows(connection))
