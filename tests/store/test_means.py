"""Stored means, and the posts that one is made of."""

import asyncio
from datetime import datetime
from uuid import UUID, uuid4

import asyncpg
import numpy as np
import pytest

from lib.store import means
from tests.scene import MODEL, connect, embed
from tests.store.test_query_plans import explain

ON_PLATFORMS = ["tables", "views"]

VECTOR = np.random.default_rng(1).normal(size=384)


async def clock(connection: asyncpg.Connection) -> datetime:
    return await connection.fetchval("SELECT clock_timestamp()")


async def publish(connection: asyncpg.Connection, number: int, model: str = MODEL) -> list[UUID]:
    """Make posts, all with the same embedding."""
    posts = [uuid4() for _ in range(number)]
    await connection.executemany("INSERT INTO posts (id) VALUES ($1)", [(post,) for post in posts])
    for post in posts:
        await embed(connection, post, VECTOR, model)
    return posts


async def sampled(connection: asyncpg.Connection, limit: int, model: str = MODEL) -> list[UUID]:
    found = await means.sample(connection, model, limit)
    return [UUID(bytes=post.tobytes()) for post in found]


async def test_mean_is_found_as_it_was_stored_by_its_model_and_by_its_number(
    connection: asyncpg.Connection,
):
    begun = await clock(connection)
    made = await means.insert(connection, MODEL, 7, VECTOR)
    assert begun <= made.cut <= await clock(connection)
    assert (made.model, made.count) == (MODEL, 7)
    assert made.vector.dtype == np.float64
    np.testing.assert_array_equal(made.vector, VECTOR.astype(np.float32))
    for found in (
        await means.newest(connection, MODEL),
        await means.numbered(connection, made.id),
    ):
        assert found
        assert (found.id, found.model, found.cut, found.count) == (made.id, MODEL, made.cut, 7)
        np.testing.assert_array_equal(found.vector, made.vector)


async def test_newest_mean_is_the_last_of_its_own_model(connection: asyncpg.Connection):
    assert await means.newest(connection, MODEL) is None
    await means.insert(connection, MODEL, 1, VECTOR)
    second = await means.insert(connection, MODEL, 2, VECTOR)
    other = await means.insert(connection, "another-model", 3, VECTOR)
    for model, wanted in ((MODEL, second), ("another-model", other)):
        found = await means.newest(connection, model)
        assert found
        assert found.id == wanted.id
    assert await means.newest(connection, "a-third-model") is None
    assert await means.numbered(connection, other.id + 1) is None


async def test_last_check_is_remembered_by_model(connection: asyncpg.Connection):
    assert await means.last_check(connection, MODEL) is None
    await means.record_check(connection, MODEL, 0.0)
    first = await means.last_check(connection, MODEL)
    await means.record_check(connection, "another-model", 0.5)
    assert await means.last_check(connection, MODEL) == first
    await means.record_check(connection, MODEL, 0.25)
    second = await means.last_check(connection, MODEL)
    assert first
    assert second
    assert first < second
    checks = await connection.fetch("SELECT model, moved FROM embedding.mean_checks ORDER BY moved")
    assert [tuple(check) for check in checks] == [(MODEL, 0.25), ("another-model", 0.5)]


async def test_sample_is_of_one_model_in_order_and_no_more_than_asked_for(
    connection: asyncpg.Connection,
):
    assert await sampled(connection, 5) == []
    posts = await publish(connection, 40)
    await publish(connection, 3, "another-model")
    assert await sampled(connection, 100) == sorted(posts)
    few = await sampled(connection, 7)
    assert len(few) == 7
    assert few == sorted(few)
    assert len(await sampled(connection, 100, "another-model")) == 3


async def test_sample_finds_the_same_posts_again_whatever_comes_and_goes(
    connection: asyncpg.Connection,
):
    """Posts that come take their share of it, and those that stay keep theirs."""
    posts = await publish(connection, 40)
    first = set(await sampled(connection, 20))
    assert set(await sampled(connection, 20)) == first
    gone = min(first)
    await connection.execute("DELETE FROM post_embeddings WHERE post_id = $1", gone)
    second = set(await sampled(connection, 20))
    assert first - second == {gone}
    more = await publish(connection, 40)
    third = set(await sampled(connection, 20))
    assert third - second <= set(more)
    assert second & third, "half of them, as the posts doubled"
    assert third <= {*posts, *more}


async def test_sample_is_not_simply_the_first_posts_by_id(connection: asyncpg.Connection):
    """Where ids are of version 7, those would be the oldest."""
    posts = await publish(connection, 40)
    assert await sampled(connection, 20) != sorted(posts)[:20]


async def test_sample_is_read_from_an_index(own: asyncpg.Connection, platform: str):
    """Vectors are 1.5 KB each; ids, models and dates are in `db/indexes.sql`."""
    if platform == "views":
        pytest.skip("the indexes of `db/indexes.sql` are on tables")
    # what is not flushed yet, vacuuming does not mark as visible to all
    await own.execute("SET synchronous_commit = on")
    await publish(own, 1)
    await own.execute(
        "INSERT INTO posts SELECT gen_random_uuid() FROM generate_series(1, 3000);"
        "INSERT INTO post_embeddings (post_id, embedding, model_version)"
        " SELECT id, embedding, model_version FROM posts, post_embeddings"
        " ON CONFLICT DO NOTHING"
    )
    await own.execute("VACUUM ANALYZE")
    used, _ = await explain(own, means.SAMPLE, [MODEL, 100])
    assert used == {"post_embeddings_version"}


async def test_only_one_makes_a_mean_at_a_time(own: asyncpg.Connection, database_url: str):
    other = await connect(database_url)
    first = own.transaction()
    await first.start()
    await means.lock_means(own)
    try:
        async with other.transaction():
            waiting = asyncio.create_task(means.lock_means(other))
            done, _ = await asyncio.wait([waiting], timeout=0.2)
            await first.commit()
            await waiting
    finally:
        await other.close()
    assert not done
