"""Users, posts and embeddings that change while a run is under way."""

import asyncio

import numpy as np
import pytest
from asyncpg import Connection
from valkey.asyncio import Valkey as Redis

from dev.ageing import age_runs
from dev.proxy import Proxy
from lib.embedding.schemes import find_scheme
from tests.conftest import Start, trigger
from tests.promises import open_work
from tests.scene import act, build, embed
from tests.tally import Tally

pytestmark = pytest.mark.timeout(300)

HOURS = 3600
GOING, LEFT = 200, 40
NOTHING_LATE = {"PAGE_SIZE": "3", "WINDOW_OVERLAP_SECONDS": "0"}


@pytest.mark.fault(16)
async def test_users_deleted_and_made_again_at_each_statement_leave_no_stranger_behind(
    start: Start, connection: Connection, redis: Redis, proxy: Proxy, tally: Tally
):
    """At every third statement a user goes, and every second of them comes back at once."""
    scene = await build(connection)
    stack = await start(NOTHING_LATE, proxy=proxy)
    seen = 0
    gone = list(scene.users)

    async def delete(kind: bytes, _: bytes) -> None:
        nonlocal seen
        if kind in b"QE":
            seen += 1
            if seen % 3 == 0 and gone:
                user = gone.pop()
                await connection.execute("DELETE FROM users WHERE id = $1", user)
                tally.tried += 1
                if tally.tried % 2:
                    await connection.execute("INSERT INTO users VALUES ($1)", user)

    await trigger(stack)
    await stack.broker.drain(max_deliveries=1)
    proxy.on_message = delete
    # whoever is deleted while their row is being written may make the page come again
    assert {delivery.status for delivery in await stack.broker.drain()} <= {200, 503}
    proxy.on_message = None
    assert await open_work(connection) == (0, 0)
    assert tally.tried > 40
    await age_runs(connection, 31 * 24 * HOURS)
    await trigger(stack)
    assert {delivery.status for delivery in await stack.broker.drain()} == {200}
    await tally.converged(connection, redis, scene.users)


@pytest.mark.fault(16)
@pytest.mark.parametrize("scheme", ["baseline", "recommended"])
async def test_posts_deleted_and_made_again_before_each_statement_are_right_by_the_next_run(  # noqa: PLR0917  # fixtures
    start: Start, connection: Connection, redis: Redis, proxy: Proxy, tally: Tally, scheme: str
):
    """Before each statement a post goes, and is reported; every second of them comes back.

    Each user has three posts that stay: a vector made anew is made of however few are left.
    """
    scene = await build(connection, posts=LEFT + GOING)
    for user in scene.users:
        for post in scene.posts[-3:]:
            await act(connection, user, post)
    stack = await start(NOTHING_LATE | {"EMBEDDING_SCHEME": scheme}, proxy=proxy)
    random = np.random.default_rng(16)
    going, one_by_one = list(scene.posts[:GOING]), asyncio.Lock()

    async def delete(kind: bytes, _: bytes) -> None:
        if kind not in b"QE" or not going:
            return
        post = going.pop()
        again = len(going) % 2
        tally.tried += 1
        # pages publish on one connection while they are at work on another
        async with one_by_one, connection.transaction():
            await connection.execute("SELECT embedding.report_deleted_posts($1)", [post])
            await connection.execute("DELETE FROM posts WHERE id = $1", post)
        async with one_by_one, connection.transaction():
            if again:
                await connection.execute("INSERT INTO posts (id) VALUES ($1)", post)
                await embed(connection, post, random.normal(size=384))

    await trigger(stack)
    await stack.broker.drain(max_deliveries=1)
    proxy.on_message = delete
    assert {delivery.status for delivery in await stack.broker.drain()} == {200}
    proxy.on_message = None
    assert going == [], "a run has more statements than that"
    assert await open_work(connection) == (0, 0)
    await trigger(stack)
    assert {delivery.status for delivery in await stack.broker.drain()} == {200}
    await tally.converged(connection, redis, scene.users, find_scheme(scheme))


@pytest.mark.fault(17)
@pytest.mark.parametrize("model", ["all-MiniLM-L6-v2", "another-model"])
async def test_posts_embedded_again_in_mid_run_count_as_they_are_by_the_next(
    start: Start, connection: Connection, redis: Redis, tally: Tally, model: str
):
    """By another model they count no longer: nothing is averaged over two."""
    scene = await build(connection, users=30)
    stack = await start(NOTHING_LATE)
    await trigger(stack)
    await stack.broker.drain(max_deliveries=5)
    random = np.random.default_rng(17)
    for post in scene.posts[:10]:
        await embed(connection, post, random.normal(size=384), model)
        tally.tried += 1
    assert {delivery.status for delivery in await stack.broker.drain()} == {200}
    await connection.execute(
        "INSERT INTO embedding.due (user_id, reason) SELECT id, 'rebuild' FROM users"
    )
    await trigger(stack)
    assert {delivery.status for delivery in await stack.broker.drain()} == {200}
    await tally.converged(connection, redis, scene.users)
    assert await open_work(connection) == (0, 0)
