"""One page: bad data costs its own user only, time is kept, and the last to write is the newest."""

import asyncio
import json
from uuid import UUID, uuid4

import httpx
import numpy as np
import pytest
from asyncpg import Connection
from valkey.asyncio import Valkey as Redis

from dev import qstash, upstash
from dev.proxy import Proxy
from dev.stack import Stack
from lib.store.vectors import READ_GENERATED
from tests.conftest import Start, trigger
from tests.promises import assert_converged, assert_mirrored, counts, open_work, rows
from tests.reference import cosine
from tests.scene import MODEL, act, build, embed


async def run(stack: Stack) -> list[int | None]:
    """Trigger, work everything off, and return the answers."""
    await trigger(stack)
    return [delivery.status for delivery in await stack.broker.drain()]


@pytest.mark.fault(12)
@pytest.mark.parametrize(
    ("vector", "model"),
    [
        pytest.param(None, MODEL, id="NULL"),
        pytest.param([0.0] * 384, MODEL, id="zero"),
        pytest.param([1.0] + [0.0] * 383, "another-model", id="another model's"),
    ],
)
async def test_an_unusable_embedding_costs_only_its_post(
    start: Start,
    connection: Connection,
    redis: Redis,
    vector: list[float] | None,
    model: str,
):
    scene = await build(connection, users=20)
    await embed(connection, scene.posts[0], vector, model)
    for user in scene.users:
        await act(connection, user, scene.posts[0], "share_post")
    stack = await start()
    assert set(await run(stack)) == {200}
    assert await assert_converged(connection, redis, scene.users) > 10
    assert (await counts(connection))["unusable_posts"] == len(scene.users)


@pytest.mark.fault(12)
@pytest.mark.parametrize("length", [12, 768])
async def test_an_embedding_of_a_wrong_length_costs_only_its_post(
    start: Start, connection: Connection, redis: Redis, platform: str, length: int
):
    """Where the platform's column names no length, anything may be in it."""
    if platform == "views":
        pytest.skip("a column that a view shows cannot be given another type")
    scene = await build(connection, users=20)
    await connection.execute("ALTER TABLE post_embeddings ALTER embedding TYPE vector")
    await embed(connection, scene.posts[0], np.ones(length))
    for user in scene.users:
        await act(connection, user, scene.posts[0], "share_post")
    stack = await start()
    assert set(await run(stack)) == {200}
    assert await assert_converged(connection, redis, scene.users) > 10


@pytest.mark.fault(12)
async def test_a_user_whose_posts_cancel_each_other_out_has_no_vector(
    start: Start, connection: Connection, redis: Redis
):
    scene = await build(connection, users=3)
    user = await connection.fetchval("INSERT INTO users DEFAULT VALUES RETURNING id")
    direction = np.random.default_rng(3).normal(size=384).astype(np.float32)
    for post, vector in zip(
        scene.posts, (direction, -direction, direction, -direction), strict=False
    ):
        await embed(connection, post, vector)
        await act(connection, user, post)
    stack = await start()
    await run(stack)
    assert user not in await rows(connection)
    assert (await counts(connection))["cancelled_out"] == 1
    await assert_converged(connection, redis, (*scene.users, user))


@pytest.mark.fault(16)
async def test_a_user_who_is_no_more_leaves_neither_row_nor_key(
    start: Start, connection: Connection, redis: Redis
):
    scene = await build(connection, users=20)
    stack = await start()
    await run(stack)
    victim = next(iter(await rows(connection)))
    await connection.execute("DELETE FROM users WHERE id = $1", victim)
    await act(connection, victim, scene.posts[0])
    stranger = uuid4()
    for post in scene.posts[:5]:
        await act(connection, stranger, post)
    await run(stack)
    await assert_converged(connection, redis, (*scene.users, stranger))
    assert (await counts(connection))["gone"] == 2


@pytest.mark.fault(16)
async def test_a_user_deleted_between_reading_and_writing_costs_nobody_else(
    start: Start, connection: Connection, redis: Redis, proxy: Proxy
):
    """The first one goes before the write begins, the other between it and its check."""
    scene = await build(connection, users=20)
    stack = await start(proxy=proxy)
    await trigger(stack)
    await stack.broker.drain(max_deliveries=1)
    victims = list(scene.users[:2])
    writing = False

    async def delete_one(kind: bytes, payload: bytes) -> None:
        nonlocal writing
        if kind == b"P":
            writing = b"INSERT INTO user_embeddings" in payload
        if writing and victims and kind in b"PE":
            await connection.execute("DELETE FROM users WHERE id = $1", victims.pop())

    proxy.on_message = delete_one
    assert [delivery.status for delivery in await stack.broker.drain()] == [200]
    assert victims == []
    await assert_converged(connection, redis, scene.users)
    assert await open_work(connection) == (0, 0)


@pytest.mark.fault(13)
async def test_a_poisoned_user_is_recorded_and_all_others_are_written(
    start: Start, connection: Connection, redis: Redis
):
    scene = await build(connection, users=20)
    stack = await start({"PAGE_SIZE": "10"})
    victim = scene.users[3]
    for post in scene.posts[:3]:
        await act(connection, victim, post)
    await connection.execute(
        f"ALTER TABLE user_embeddings ADD CONSTRAINT poison CHECK (user_id <> '{victim}')"
    )
    for attempt in range(1, 8):
        assert set(await run(stack)) == {200}
        failure = await connection.fetchrow("SELECT * FROM embedding.failures")
        assert failure["user_id"] == victim
        assert "poison" in failure["reason"]
        assert failure["attempts"] == attempt
        due = await connection.fetch("SELECT * FROM embedding.due WHERE reason = 'failed'")
        assert len(due) == (1 if attempt <= 5 else 0)
        assert (await counts(connection))["failed"] == 1
    stored = await rows(connection)
    assert victim not in stored
    await connection.execute("ALTER TABLE user_embeddings DROP CONSTRAINT poison")
    await run(stack)
    await assert_converged(connection, redis, scene.users)
    assert await connection.fetchval("SELECT count(*) FROM embedding.failures") == 0


@pytest.mark.fault(3)
async def test_of_two_deliveries_that_race_the_cache_keeps_the_newest(
    start: Start, connection: Connection, redis: Redis
):
    """One is held up just before its cache write, while another finishes with newer data."""
    scene = await build(connection, users=20)
    stack = await start({"PAGE_SIZE": "10"})
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def hold_the_first(request: upstash.Request, stage: upstash.Stage) -> None:
        if request.path == "/pipeline" and stage is upstash.Stage.ARRIVED and not reached.is_set():
            reached.set()
            await go_on.wait()

    stack.upstash.on_request = hold_the_first
    await trigger(stack)
    await stack.broker.drain(max_deliveries=1)
    [page] = stack.broker.pending()
    first = asyncio.create_task(stack.broker.deliver(page.message_id))
    await reached.wait()
    old = await rows(connection)
    for user in scene.users:
        for post in scene.posts[:3]:
            await act(connection, user, post, "share_post")
    assert (await stack.broker.deliver(page.message_id)).status == 200
    go_on.set()
    assert (await first).status == 200
    new = await rows(connection)
    await stack.broker.drain()
    assert all(new[user].generated_at > old[user].generated_at for user in old)
    await assert_converged(connection, redis, scene.users)
    assert (await counts(connection))["processed"] == 20, "each user is counted once"


@pytest.mark.fault(5, 8)
@pytest.mark.timeout(180)
async def test_vectors_that_could_not_be_looked_at_again_do_not_stay_in_redis(
    start: Start, connection: Connection, redis: Redis, proxy: Proxy
):
    """One is held up before its cache write; another does it all; then Postgres fails the first."""
    scene = await build(connection, users=10)
    stack = await start(proxy=proxy)
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def hold_the_first(request: upstash.Request, stage: upstash.Stage) -> None:
        if request.path != "/pipeline" or go_on.is_set():
            return
        if stage is upstash.Stage.ARRIVED and not reached.is_set():
            reached.set()
            await go_on.wait()

    async def fail(kind: bytes, payload: bytes) -> None:
        if kind == b"P" and READ_GENERATED.strip().encode() in payload:
            raise ConnectionResetError

    stack.upstash.on_request = hold_the_first
    await trigger(stack)
    await stack.broker.drain(max_deliveries=1)
    [page] = stack.broker.pending()
    first = asyncio.create_task(stack.broker.deliver(page.message_id))
    await reached.wait()
    for user in scene.users:
        for post in scene.posts[:3]:
            await act(connection, user, post, "share_post")
    assert (await stack.broker.deliver(page.message_id)).status == 200
    assert await open_work(connection) == (0, 0)
    proxy.on_message = fail
    go_on.set()
    assert (await first).status == 503
    proxy.on_message = None
    assert {d.status for d in await stack.broker.drain()} <= {200}
    stored = await rows(connection)
    for name in await redis.keys("*"):
        user = UUID(name.decode().split(":")[1])
        assert cosine(json.loads(await redis.get(name)), stored[user].embedding) >= 0.999999


async def test_next_page_is_published_after_the_vectors_are_written(
    start: Start, connection: Connection
):
    await build(connection, users=20)
    stack = await start({"PAGE_SIZE": "10"})
    written: list[int] = []

    async def count(message: qstash.Message, stage: qstash.Stage) -> None:
        if b'"page":1' in message.body and stage is qstash.Stage.ARRIVED:
            written.append(len(await rows(connection)))

    stack.broker.on_publish = count
    await trigger(stack)
    await stack.broker.drain()
    assert written
    assert min(written) > 0


async def test_cache_is_written_after_the_vectors_are(start: Start, connection: Connection):
    """What Redis gets is looked up among the rows as it comes."""
    scene = await build(connection, users=10)
    stack = await start()
    sent: set[UUID] = set()

    async def look(request: upstash.Request, stage: upstash.Stage) -> None:
        if stage is upstash.Stage.ARRIVED:
            keys = {
                key for name, *keys in request.commands if name.upper() == "DEL" for key in keys
            }
            sent.update(user for user in scene.users if f"user:{user}:embedding" in keys)

    stack.upstash.on_request = look
    await trigger(stack)
    await stack.broker.drain()
    # whoever has a vector by then is not taken for somebody without one
    assert sent == set(scene.users) - set(await rows(connection))


async def many_users(connection: Connection, number: int, posts: tuple[UUID, ...]) -> None:
    """Add users who have each done the same three things."""
    await connection.execute(
        "WITH added AS (INSERT INTO users (id)"
        " SELECT gen_random_uuid() FROM generate_series(1, $1) RETURNING id)"
        " INSERT INTO action_log (user_id, post_id, action_type)"
        " SELECT added.id, post, 'like_post' FROM added, unnest($2::UUID[]) AS post",
        number,
        list(posts[:3]),
    )


@pytest.mark.fault(11)
async def test_a_page_out_of_time_keeps_its_slices_lets_the_chain_go_on_and_finishes_later(
    start: Start, connection: Connection, redis: Redis
):
    scene = await build(connection, users=0)
    await many_users(connection, 1700, scene.posts)
    stack = await start({"PAGE_SIZE": "1200"}, max_duration=8.0)

    async def slow(request: upstash.Request, stage: upstash.Stage) -> None:
        if request.path == "/pipeline" and stage is upstash.Stage.ARRIVED:
            await asyncio.sleep(5.6)  # 70 % of the time there is: no third slice is begun

    stack.upstash.on_request = slow
    await trigger(stack)
    await stack.broker.drain(max_deliveries=1)
    [page] = await stack.broker.drain(max_deliveries=1)
    assert page.status == 503
    assert b'"status":"incomplete"' in page.response_body
    assert b'"next":1' in page.response_body
    done = await connection.fetchval("SELECT count(*) FROM user_embeddings")
    assert done == 1000, "two slices go side by side"
    left = await connection.fetchval("SELECT count(*) FROM embedding.run_users WHERE page = 0")
    assert left == 200, "its retry finds only the rest"
    stack.upstash.on_request = None
    await stack.broker.drain()
    assert await open_work(connection) == (0, 0)
    assert await connection.fetchval("SELECT count(*) FROM user_embeddings") == 1700
    await assert_mirrored(connection, redis)


@pytest.mark.fault(7)
async def test_a_cache_that_fails_one_slice_holds_back_no_other(
    start: Start, connection: Connection, redis: Redis
):
    scene = await build(connection, users=0)
    await many_users(connection, 1200, scene.posts)
    stack = await start({"PAGE_SIZE": "1200"})
    failed: list[upstash.Request] = []

    async def fail_once(request: upstash.Request, stage: upstash.Stage) -> None:
        if request.path == "/pipeline" and stage is upstash.Stage.ARRIVED and not failed:
            failed.append(request)
            raise upstash.Refuse(500, '{"error":"internal"}')

    stack.upstash.on_request = fail_once
    await trigger(stack)
    first = await stack.broker.drain(max_deliveries=2)
    assert sorted(delivery.status for delivery in first) == [200, 503]
    assert await connection.fetchval("SELECT count(*) FROM user_embeddings") == 1200
    assert await open_work(connection) == (1, 500)
    assert [delivery.status for delivery in await stack.broker.drain()] == [200]
    await assert_mirrored(connection, redis)
    counted = await counts(connection)
    assert counted["processed"] == 1200, "each user is counted once"


@pytest.mark.parametrize("size", [30, 600], ids=["one slice", "two slices"])
async def test_the_next_page_is_published_once_and_while_the_cache_is_written(
    start: Start, connection: Connection, redis: Redis, size: int
):
    scene = await build(connection, users=0)
    await many_users(connection, size + 20, scene.posts)
    stack = await start({"PAGE_SIZE": str(size)})
    writing, publishing = asyncio.Event(), asyncio.Event()
    published = 0

    async def write(request: upstash.Request, stage: upstash.Stage) -> None:
        if request.path == "/pipeline" and stage is upstash.Stage.ARRIVED:
            writing.set()
            async with asyncio.timeout(5):
                await publishing.wait()

    async def publish(message: qstash.Message, stage: qstash.Stage) -> None:
        nonlocal published
        if b'"page":1' in message.body and stage is qstash.Stage.ARRIVED:
            published += 1
            publishing.set()
            async with asyncio.timeout(5):
                await writing.wait()

    stack.upstash.on_request = write
    stack.broker.on_publish = publish
    assert await run(stack) == [200] * 3
    assert published == 1, "after the last slice"
    await assert_mirrored(connection, redis)


async def test_a_get_in_development_does_a_few_users_and_says_what_it_did(
    start: Start, connection: Connection, redis: Redis
):
    scene = await build(connection, users=30)
    stack = await start({"ALLOW_DEV_TRIGGER": "1"})
    async with httpx.AsyncClient(timeout=30) as client:
        answer = await client.get(f"{stack.app_url}/api/actions/batch-process")
    assert answer.status_code == 200
    shown = answer.json()["users"]
    assert len(shown) == 20
    stored = await rows(connection)
    for user in shown:
        assert set(user) == {
            "id",
            "outcome",
            "posts",
            "actions",
            "weight",
            "model_version",
            "cached",
        }
        assert (UUID(user["id"]) in stored) == user["cached"] == (user["outcome"] == "processed")
    await assert_mirrored(connection, redis)
    assert await connection.fetchval("SELECT count(*) FROM embedding.runs") == 0
    assert len(scene.users) == 30
