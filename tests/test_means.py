"""The mean that centred vectors are made with: one row, until the posts have moved away from it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from uuid import UUID, uuid4

import numpy as np
import pytest
from asyncpg import Connection, Record
from numpy.typing import NDArray
from valkey.asyncio import Valkey as Redis

from dev.stack import Stack
from lib.batch.mean import FETCH, MOVED, current_mean, look_at_mean
from lib.embedding.schemes import CENTRED
from lib.errors import Unavailable
from lib.settings import DatabaseSettings
from lib.store.database import Database
from tests.conftest import Start, trigger
from tests.promises import assert_converged, open_work, rows, usable_embeddings
from tests.scene import MODEL, act, build, embed
from tests.test_shadow import redeploy

ON_PLATFORMS = ["tables", "views"]

CENTRED_ONLY = {"EMBEDDING_SCHEME": "centred", "WINDOW_OVERLAP_SECONDS": "0"}
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)


@pytest.fixture
async def database(functions_url: str) -> AsyncIterator[Database]:
    made = Database(DatabaseSettings(functions_url, pooled=True))
    yield made
    await made.close()


async def run(stack: Stack) -> None:
    await trigger(stack)
    assert {delivery.status for delivery in await stack.broker.drain()} == {200}


async def means(connection: Connection) -> list[Record]:
    return await connection.fetch("SELECT * FROM embedding.means ORDER BY id")


async def average(connection: Connection) -> NDArray[np.float64]:
    usable = await usable_embeddings(connection)
    return np.mean(list(usable.values()), axis=0)


async def age_check(connection: Connection, age: timedelta) -> None:
    """Let the last look at the mean have been so long ago."""
    await connection.execute(
        "UPDATE embedding.mean_checks SET checked_at = now() - $1::INTERVAL", age
    )


async def checked(connection: Connection) -> float:
    """Return how far the posts had moved when the mean was last looked at."""
    return await connection.fetchval("SELECT moved FROM embedding.mean_checks")


async def publish(connection: Connection, vectors: NDArray[np.float64]) -> list[UUID]:
    posts = [uuid4() for _ in vectors]
    await connection.executemany("INSERT INTO posts (id) VALUES ($1)", [(post,) for post in posts])
    for post, vector in zip(posts, vectors, strict=True):
        await embed(connection, post, vector)
    return posts


async def move(connection: Connection, posts: Sequence[UUID], distance: float) -> None:
    """Move all posts by so many of their lengths in one direction."""
    usable = await usable_embeddings(connection)
    length = np.mean([np.linalg.norm(vector) for vector in usable.values()])
    for post in posts:
        vector = np.array(usable[post])
        vector[0] += distance * length
        await embed(connection, post, vector)


def directions(number: int, seed: int = 1) -> NDArray[np.float64]:
    drawn = np.random.default_rng(seed).normal(size=(number, 384))
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


# Made once


async def test_first_run_of_a_centred_scheme_stores_the_mean_of_all_posts(
    start: Start, connection: Connection, redis: Redis
):
    """Also of those that nobody has acted on."""
    scene = await build(connection, users=10)
    await publish(connection, directions(5) + 3)
    await run(await start(CENTRED_ONLY))
    [mean] = await means(connection)
    assert (mean["model"], mean["count"]) == (MODEL, 45)
    np.testing.assert_allclose(
        mean["vector"].to_numpy(), await average(connection), rtol=1e-6, atol=1e-7
    )
    assert await assert_converged(connection, redis, scene.users, CENTRED) > 5


async def test_run_of_a_scheme_that_is_not_centred_makes_no_mean(
    start: Start, connection: Connection
):
    await build(connection, users=5)
    await run(await start({"EMBEDDING_SCHEME": "decay"}))
    assert await means(connection) == []
    assert await connection.fetch("SELECT FROM embedding.mean_checks") == []


async def test_what_is_no_direction_or_another_models_is_not_in_the_mean(
    connection: Connection, database: Database
):
    vectors = directions(6)
    posts = await publish(connection, vectors)
    await embed(connection, posts[0], np.zeros(384))
    await embed(connection, posts[1], None)
    await embed(connection, posts[2], np.ones(384), "another-model")
    mean = await current_mean(database, MODEL)
    assert mean.count == 3
    np.testing.assert_allclose(mean.vector, vectors[3:].mean(axis=0), atol=1e-7)


@pytest.mark.parametrize("length", [12, 768])
async def test_what_is_of_another_length_is_not_in_the_mean(
    connection: Connection, database: Database, platform: str, length: int
):
    if platform == "views":
        pytest.skip("a column that a view shows cannot be given another type")
    await connection.execute("ALTER TABLE post_embeddings ALTER embedding TYPE vector")
    vectors = directions(4)
    posts = await publish(connection, vectors)
    await embed(connection, posts[0], np.ones(length))
    mean = await current_mean(database, MODEL)
    assert mean.count == 3
    np.testing.assert_allclose(mean.vector, vectors[1:].mean(axis=0), atol=1e-7)


async def test_mean_is_of_every_post_where_they_are_read_in_several_parts(
    connection: Connection, database: Database
):
    vectors = directions(FETCH + 3)
    await publish(connection, vectors)
    mean = await current_mean(database, MODEL)
    assert mean.count == len(vectors)
    np.testing.assert_allclose(mean.vector, vectors.mean(axis=0), atol=1e-7)


async def test_a_second_run_changes_nothing_and_vectors_name_the_mean(
    start: Start, connection: Connection, redis: Redis
):
    scene = await build(connection, users=10)
    stack = await start(CENTRED_ONLY)
    await run(stack)
    first = await means(connection)
    for user in scene.users:
        await act(connection, user, scene.posts[0])
    await run(stack)
    assert await means(connection) == first
    await assert_converged(connection, redis, scene.users, CENTRED)
    labels = {row.model_version for row in (await rows(connection)).values()}
    assert labels == {f"{MODEL}/centred@1#{first[0]['id']}"}


async def test_whoever_asks_at_the_same_time_gets_the_same_mean(
    connection: Connection, database: Database, functions_url: str
):
    await publish(connection, directions(50))
    other = Database(DatabaseSettings(functions_url, pooled=True))
    try:
        asked = [current_mean(place, MODEL) for place in (database, other) for _ in range(4)]
        found = await asyncio.gather(*asked)
    finally:
        await other.close()
    assert len(await means(connection)) == 1
    assert len({mean.id for mean in found}) == 1


async def test_pages_that_find_no_mean_make_one(start: Start, connection: Connection, redis: Redis):
    """As when the setting changes while a run is under way."""
    scene = await build(connection)
    stack = await start({"PAGE_SIZE": "5", "PARALLEL_CHAINS": "4"})
    await trigger(stack)
    await stack.broker.drain(max_deliveries=1)
    redeploy(stack, {"EMBEDDING_SCHEME": "centred"})
    assert await means(connection) == []
    assert {delivery.status for delivery in await stack.broker.drain()} == {200}
    assert len(await means(connection)) == 1
    await assert_converged(connection, redis, scene.users, CENTRED)


# Made anew


@pytest.mark.parametrize(
    ("distance", "age", "made"),
    [
        pytest.param(0.9 * MOVED, 2 * DAY, 1, id="not far enough"),
        pytest.param(1.1 * MOVED, DAY - MINUTE, 1, id="not yet a day ago"),
        pytest.param(1.1 * MOVED, DAY + MINUTE, 2, id="far enough, and a day ago"),
    ],
)
@pytest.mark.parametrize("length", [1.0, 20.0])
async def test_mean_is_made_anew_if_it_is_far_from_its_posts_a_day_later(
    connection: Connection,
    database: Database,
    *,
    distance: float,
    age: timedelta,
    made: int,
    length: float,
):
    posts = await publish(connection, directions(30) * length)
    first = await current_mean(database, MODEL)
    await move(connection, posts, distance)
    await age_check(connection, age)
    await look_at_mean(database, MODEL)
    found = await means(connection)
    assert len(found) == made
    assert (found[0]["id"], found[0]["cut"]) == (first.id, first.cut)
    np.testing.assert_array_equal(found[0]["vector"].to_numpy(), first.vector)
    looked = age >= DAY
    assert await checked(connection) == pytest.approx(distance if looked else 0.0, rel=0.01)
    assert (await current_mean(database, MODEL)).id == found[-1]["id"]
    await look_at_mean(database, MODEL)
    assert len(await means(connection)) == made, "not twice a day"


async def test_vectors_keep_their_mean_until_their_users_are_due(
    start: Start, connection: Connection, redis: Redis
):
    scene = await build(connection, users=10)
    stack = await start(CENTRED_ONLY)
    await run(stack)
    before = await rows(connection)
    due = next(iter(before))
    await move(connection, scene.posts, 0.2)
    await act(connection, due, scene.posts[0])
    await age_check(connection, 2 * DAY)
    await run(stack)
    old, new = await means(connection)
    after = await rows(connection)
    assert after[due].model_version == f"{MODEL}/centred@1#{new['id']}"
    for user in set(before) - {due}:
        assert after[user] == before[user]
    offsets = await connection.fetch("SELECT user_id, mean_id FROM embedding.user_offsets")
    assert dict(offsets) == {user: new["id"] if user == due else old["id"] for user in after}
    await connection.execute("INSERT INTO embedding.due SELECT id, 'rebuild' FROM users")
    await run(stack)
    await assert_converged(connection, redis, scene.users, CENTRED)


async def test_means_of_two_models_stand_side_by_side(connection: Connection, database: Database):
    vectors = directions(6)
    posts = await publish(connection, vectors)
    first = await current_mean(database, MODEL)
    for post, vector in zip(posts[:3], vectors, strict=False):
        await embed(connection, post, -vector, "another-model")
    other = await current_mean(database, "another-model")
    assert (other.count, other.model) == (3, "another-model")
    np.testing.assert_allclose(other.vector, -vectors[:3].mean(axis=0), atol=1e-7)
    assert (await current_mean(database, MODEL)).id == first.id


# Without posts


async def test_without_any_post_a_start_waits_and_nothing_is_lost(
    start: Start, connection: Connection, redis: Redis
):
    scene = await build(connection, users=10)
    embeddings = await usable_embeddings(connection)
    await connection.execute("DELETE FROM post_embeddings")
    stack = await start(CENTRED_ONLY)
    await trigger(stack)
    assert {d.status for d in await stack.broker.drain(limit_seconds=30)} == {503}
    assert await means(connection) == []
    for post, vector in embeddings.items():
        await embed(connection, post, vector)
    assert {d.status for d in await stack.broker.drain()} == {200}
    assert await assert_converged(connection, redis, scene.users, CENTRED) > 5
    assert await open_work(connection) == (0, 0)


async def test_mean_outlives_its_posts(connection: Connection, database: Database):
    posts = await publish(connection, directions(5))
    first = await current_mean(database, MODEL)
    for post in posts:
        await embed(connection, post, None)
    await age_check(connection, 2 * DAY)
    await look_at_mean(database, MODEL)
    assert (await current_mean(database, MODEL)).id == first.id
    with pytest.raises(
        Unavailable, match=r"^expected posts embedded by another-model to centre on"
    ):
        await look_at_mean(database, "another-model")
