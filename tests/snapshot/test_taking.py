"""A snapshot follows each completed run, part by part, and old ones go."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from asyncpg import Connection
from valkey.asyncio import Valkey as Redis

from dev.s3 import S3, Refuse, Request, Stage
from dev.stack import Stack
from lib.qstash.message import Page, Snapshot, encode
from lib.qstash.queue import Queue
from lib.settings import QueueSettings
from lib.snapshot.manifest import Name
from tests.conftest import Start, trigger
from tests.promises import assert_converged
from tests.scene import build
from tests.snapshot.platform import adorn, finished_run, inhabit, shelved

pytestmark = pytest.mark.timeout(180)

ON_PLATFORMS = ["tables", "views"]


async def publish(stack: Stack, run: UUID, page: int = 0) -> None:
    """Publish a part of a snapshot, as whoever completes a run does."""
    queue = Queue(QueueSettings.load(stack.environ))
    try:
        await queue.publish_snapshot(Snapshot(run, page))
    finally:
        await queue.close()


async def test_completed_run_is_followed_by_one_snapshot_of_all_vectors(
    start: Start, connection: Connection, redis: Redis, s3: S3
):
    scene = await build(connection)
    stack = await start({"PAGE_SIZE": "20", "PARALLEL_CHAINS": "3", **s3.environ})
    await trigger(stack)
    assert {delivery.status for delivery in await stack.broker.drain()} == {200}
    made = await assert_converged(connection, redis, scene.users)
    run = await connection.fetchrow("SELECT id, window_end FROM embedding.runs")
    [(name, snapshot)] = shelved(s3).items()
    assert name == f"{run['window_end']:%Y%m%dT%H%M%SZ}-{run['id']}"
    assert len(snapshot.users) == made == snapshot.manifest["users"]
    jobs = [message for message in stack.broker.messages if b"snapshot" in message.body]
    assert [message.body.decode() for message in jobs] == [encode(Snapshot(run["id"], 0))]


async def test_without_a_bucket_nothing_of_it_runs(start: Start, connection: Connection):
    await build(connection)
    stack = await start()
    await trigger(stack)
    await stack.broker.drain()
    await publish(stack, await connection.fetchval("SELECT id FROM embedding.runs"))
    [delivery] = await stack.broker.drain()
    assert delivery.status == 200
    assert b'"closed"' in delivery.response_body
    assert len([m for m in stack.broker.messages if b"snapshot" in m.body]) == 1


async def test_run_that_was_absorbed_is_followed_by_none(
    start: Start, connection: Connection, s3: S3
):
    stack = await start(s3.environ)
    run = await finished_run(connection, absorbed=True)
    queue = Queue(QueueSettings.load(stack.environ))
    await queue.publish_page(Page(run, 0), 1)
    await queue.close()
    [delivery] = await stack.broker.drain()
    assert b'"closed"' in delivery.response_body
    assert s3.requests == []


async def test_every_user_with_a_vector_is_in_exactly_one_part(
    start: Start, connection: Connection, s3: S3
):
    users = await inhabit(connection, 10_000)
    await adorn(connection, users[:20])
    await connection.execute(
        "UPDATE user_embeddings SET embedding = NULL WHERE user_id = $1", users[7]
    )
    first = await connection.fetchval(
        "INSERT INTO users VALUES ('00000000-0000-0000-0000-000000000000') RETURNING id"
    )
    await connection.execute(
        "INSERT INTO user_embeddings (user_id, embedding, model_version, generated_at)"
        " SELECT $1, embedding, 'm', 'infinity' FROM user_embeddings WHERE embedding IS NOT NULL"
        " LIMIT 1",
        first,
    )
    stack = await start(s3.environ)
    await publish(stack, await finished_run(connection))
    deliveries = await stack.broker.drain()
    assert [delivery.status for delivery in deliveries] == [200, 200, 200]
    [snapshot] = shelved(s3).values()
    assert snapshot.users == [first, *users[:7], *users[8:]]
    assert [part["users"] for part in snapshot.manifest["parts"]] == [5000, 5000, 0]


async def test_nobody_has_a_vector_and_the_snapshot_is_empty(
    start: Start, connection: Connection, s3: S3
):
    stack = await start(s3.environ)
    await publish(stack, await finished_run(connection))
    await stack.broker.drain()
    [snapshot] = shelved(s3).values()
    assert snapshot.manifest["users"] == 0


async def test_snapshots_of_29_days_go_and_others_stay(
    start: Start, connection: Connection, s3: S3
):
    now = datetime.now(UTC).replace(microsecond=0)
    ages = (400.0, 30.0, 29.01, 28.99, 1.0)
    names = [Name(now - timedelta(days=age), UUID(int=n)) for n, age in enumerate(ages)]
    for name in names:
        for number in range(2):
            s3.put(name.part(number), b"part")
        s3.put(name.manifest, b"manifest")
    half = Name(now - timedelta(days=31), UUID(int=99))
    s3.put(half.part(0), b"part")
    s3.put("snapshots/of-somebody-else/file", b"theirs")
    s3.put("other", b"theirs")
    stack = await start(s3.environ)
    run = await finished_run(connection)
    await publish(stack, run)
    [delivery] = await stack.broker.drain()
    assert delivery.status == 200
    folders = {key.rpartition("/")[0] for key in s3.objects()}
    kept = {f"snapshots/{name}" for name in names[3:]}
    assert {f for f in folders if str(run) not in f} == {"", "snapshots/of-somebody-else", *kept}
    assert '"cleared":4' in stack.functions.logs[-1]


async def test_clearing_that_is_interrupted_leaves_no_manifest_without_its_parts(
    start: Start, connection: Connection, s3: S3
):
    old = Name(datetime(2026, 1, 1, tzinfo=UTC), UUID(int=1))
    s3.put(old.part(0), b"part")
    s3.put(old.manifest, b"manifest")
    deletions = 0

    async def refuse(request: Request, stage: Stage) -> None:
        nonlocal deletions
        if request.query.startswith("delete") and stage is Stage.ARRIVED:
            deletions += 1
            if deletions > 1:
                raise Refuse(403, "AccessDenied")

    s3.on_request = refuse
    stack = await start(s3.environ)
    await publish(stack, await finished_run(connection))
    [delivery] = await stack.broker.drain(limit_seconds=30)
    assert delivery.status == 503
    assert list(s3.objects()) == [old.part(0)]
    s3.on_request = None
    await stack.broker.drain()
    assert old.part(0) not in s3.objects()
    assert len(shelved(s3)) == 1


async def test_part_of_a_run_that_never_was_or_after_none_never_comes_again(
    start: Start, connection: Connection, s3: S3
):
    stack = await start(s3.environ)
    await publish(stack, UUID(int=7))
    await publish(stack, await finished_run(connection), 3)
    deliveries = await stack.broker.drain()
    refused = [delivery.status for delivery in deliveries if b"sourceBody" not in delivery.body]
    assert refused == [489, 489]
    assert s3.objects() == {}


async def test_snapshot_that_is_given_up_is_noted_and_stops_nothing(
    start: Start, connection: Connection, s3: S3
):
    async def refuse(_: Request, __: Stage) -> None:
        raise Refuse(403, "AccessDenied")

    s3.on_request = refuse
    scene = await build(connection, users=10)
    stack = await start(s3.environ)
    await trigger(stack)
    deliveries = await stack.broker.drain()
    assert len(stack.broker.dead_letters) == 1
    assert any("snapshot_failed" in line for line in stack.functions.logs)
    assert deliveries[-1].status == 200
    assert await connection.fetchval("SELECT count(*) FROM embedding.failed_pages") == 0
    assert scene.users
