"""A snapshot, or its restore, interrupted anywhere: what was whole stays, and all comes whole."""

import asyncio
from uuid import UUID

import pytest
from asyncpg import Connection
from valkey.asyncio import Valkey as Redis

from dev import s3 as store
from dev.proxy import Proxy
from dev.s3 import S3
from dev.stack import Stack
from tests.conftest import Start
from tests.promises import assert_mirrored
from tests.snapshot.commands import begin, restore
from tests.snapshot.platform import finished_run, inhabit, kept, lose, shelved
from tests.snapshot.test_taking import publish
from tests.tally import Tally

pytestmark = [pytest.mark.fault(30), pytest.mark.timeout(600)]

USERS = 5100
"""In two parts."""
OBJECTS = ("part-00000.npz", "part-00001.npz", "manifest.json")


async def two_snapshots_due(
    stack: Stack, connection: Connection, s3: S3
) -> tuple[list[UUID], str, UUID]:
    """Take one of all users; return them, its name, and a later run whose snapshot is due."""
    users = await inhabit(connection, USERS)
    await publish(stack, await finished_run(connection, "2 hours"))
    await stack.broker.drain()
    [former] = shelved(s3)
    return users, former, await finished_run(connection)


def assert_whole(s3: S3, users: list[UUID], count: int, tally: Tally) -> None:
    """Hold that there are so many snapshots, each with every user once."""
    found = shelved(s3)
    assert len(found) == count
    for snapshot in found.values():
        tally.users += len(users)
        tally.lost += len(set(users) - set(snapshot.users))
        assert snapshot.users == users


@pytest.mark.parametrize("stage", store.Stage, ids=["before", "after"])
@pytest.mark.parametrize("fault", ["killed", "refused", "cut"])
async def test_s3_or_the_function_fails_at_every_object_and_the_former_snapshot_stays(  # noqa: PLR0917  # fixtures
    start: Start, connection: Connection, s3: S3, tally: Tally, fault: str, stage: store.Stage
):
    stack = await start(s3.environ)
    users, former, run = await two_snapshots_due(stack, connection, s3)
    failed: dict[str, int] = {}
    whole: list[str] = []

    async def fail(request: store.Request, now: store.Stage) -> None:
        name = request.key.rpartition("/")[2]
        # both attempts of one delivery, and nothing of the next
        if request.method != "PUT" or now is not stage or failed.get(name, 0) >= 2:
            return
        failed[name] = failed.get(name, 0) + 1
        tally.tried += 1
        if stage is store.Stage.ARRIVED or name != "manifest.json":
            whole.extend(shelved(s3))
        if fault == "killed":
            failed[name] = 2
            stack.functions.kill()
        if fault == "refused":
            raise store.Refuse(503, "SlowDown")
        raise store.Drop

    s3.on_request = fail
    await publish(stack, run)
    await stack.broker.drain()
    assert set(failed) == set(OBJECTS)
    assert set(whole) == {former}
    assert_whole(s3, users, 2, tally)


@pytest.mark.parametrize("name", OBJECTS)
async def test_s3_that_hangs_is_given_up_and_the_retry_completes(
    start: Start, connection: Connection, s3: S3, tally: Tally, name: str
):
    stack = await start(s3.environ)
    users, former, run = await two_snapshots_due(stack, connection, s3)
    well = asyncio.Event()

    async def hang(request: store.Request, stage: store.Stage) -> None:
        if request.method == "PUT" and request.key.endswith(name) and stage is stage.ARRIVED:
            await well.wait()

    s3.on_request = hang
    await publish(stack, run)
    deliveries = await stack.broker.drain(limit_seconds=50)
    assert deliveries[-1].status == 503
    assert list(shelved(s3)) == [former]
    s3.on_request = None
    well.set()
    await stack.broker.drain()
    tally.tried = 2
    assert_whole(s3, users, 2, tally)


async def test_messages_twice_late_and_out_of_order_make_one_snapshot(
    start: Start, connection: Connection, s3: S3, tally: Tally
):
    stack = await start(s3.environ)
    stack.broker.copies = 2
    users, _, run = await two_snapshots_due(stack, connection, s3)
    await publish(stack, run)
    await stack.broker.drain()
    assert_whole(s3, users, 2, tally)
    before = s3.objects()
    for message in reversed(list(stack.broker.messages)):
        tally.tried += 1
        assert (await stack.broker.deliver(message.message_id)).status == 200
    assert s3.objects() == before


async def test_one_part_worked_twice_at_once_while_vectors_change_is_one_part(
    start: Start, connection: Connection, s3: S3, tally: Tally
):
    stack = await start(s3.environ)
    users, former, run = await two_snapshots_due(stack, connection, s3)
    arrived = asyncio.Event()

    async def meet(request: store.Request, stage: store.Stage) -> None:
        if request.method != "PUT" or not request.key.endswith("00000.npz"):
            return
        if stage is stage.ARRIVED and not arrived.is_set():
            # the second one reads, and writes, while the first one's bytes are on their way
            arrived.set()
            await connection.execute("DELETE FROM user_embeddings WHERE user_id = $1", users[3])
            assert (await stack.broker.deliver(first)).status == 200

    s3.on_request = meet
    await publish(stack, run)
    first = stack.broker.messages[-1].message_id
    await stack.broker.drain()
    assert arrived.is_set()
    tally.tried, tally.users = 2, USERS - 1
    [taken] = [snapshot for name, snapshot in shelved(s3).items() if name != former]
    assert taken.users == [*users[:3], *users[4:]]


async def test_two_snapshots_at_once_are_both_whole(
    start: Start, connection: Connection, s3: S3, tally: Tally
):
    stack = await start(s3.environ)
    users = await inhabit(connection, USERS)
    for age in ("1 hour", "2 hours"):
        await publish(stack, await finished_run(connection, age))
    await asyncio.gather(*(stack.broker.deliver(m.message_id) for m in stack.broker.messages))
    await stack.broker.drain()
    tally.tried = 2
    assert_whole(s3, users, 2, tally)


async def test_restore_killed_at_many_statements_is_made_good_by_the_next(  # noqa: PLR0917  # fixtures
    start: Start, connection: Connection, redis: Redis, s3: S3, proxy: Proxy, tally: Tally
):
    stack = await start(s3.environ, proxy=proxy)
    await inhabit(connection, 1200)
    await publish(stack, await finished_run(connection))
    await stack.broker.drain()
    before = await kept(connection)
    await lose(connection)
    for victim in range(1, 30, 4):
        tally.tried += await restore_until(proxy, stack, victim)
    assert tally.tried > 3
    proxy.on_message = None
    await restore(stack.environ)
    assert await kept(connection) == before
    await assert_mirrored(connection, redis)


async def restore_until(proxy: Proxy, stack: Stack, victim: int) -> bool:
    """Restore, and kill the process before its statement of that number; False if none came."""
    seen, killed = 0, False

    async def kill(kind: bytes, _: bytes) -> None:
        nonlocal seen, killed
        seen += kind in b"QE"
        if seen == victim:
            killed = True
            process.kill()
            raise ConnectionResetError

    proxy.on_message = kill
    process = await begin(stack.environ)
    await process.communicate()
    assert process.returncode == (-9 if killed else 0)
    return killed


async def test_hundred_thousand_vectors_come_back_bit_for_bit(
    start: Start, connection: Connection, s3: S3, tally: Tally
):
    stack = await start({"CACHE_MODE": "off", **s3.environ})
    users = await inhabit(connection, 100_000)
    await publish(stack, await finished_run(connection))
    await stack.broker.drain()
    assert_whole(s3, users, 1, tally)
    before = await kept(connection)
    await lose(connection)
    await restore(stack.environ)
    after = await kept(connection)
    assert after == before
