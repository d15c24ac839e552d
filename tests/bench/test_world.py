from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import numpy as np
import pytest
from pgvector.asyncpg import register_vector

from bench.load import load_log, load_platform
from bench.tuples import END, HEAD, pack
from bench.world import DAY, DAYS, MODEL, SHARES, World

NOW = datetime(2026, 5, 4, tzinfo=UTC)
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
WORLD = World(users=60, actions=7, posts=40, now=(NOW - EPOCH) // timedelta(microseconds=1))


def test_world_is_the_same_every_time():
    again = World(**vars(WORLD))
    assert (WORLD.user_ids() == again.user_ids()).all()
    assert (WORLD.post_vectors() == again.post_vectors()).all()
    assert (WORLD.round(3).posts == again.round(3).posts).all()


def test_world_has_every_user_act_once_a_round_in_order_of_time():
    ends = [WORLD.now - DAYS * DAY]
    for number in range(WORLD.actions):
        log = WORLD.round(number)
        assert sorted(log.users.tolist()) == sorted(WORLD.user_ids().tolist())
        assert (np.diff(log.times) >= 0).all()
        assert ends[-1] <= log.times[0]
        ends.append(log.times[-1])
    assert ends[-1] < WORLD.now


def test_world_has_popular_posts_first_and_actions_by_their_shares():
    log = World(users=20_000, actions=1, posts=1000, now=WORLD.now).round(0)
    place = {post: rank for rank, post in enumerate(World(1, 1, 1000, 0).post_ids().tolist())}
    ranks = np.array([place[post] for post in log.posts.tolist()])
    assert np.count_nonzero(ranks < 100) > 3 * np.count_nonzero(ranks >= 900)
    for kind, share in SHARES.items():
        assert np.mean(log.types == kind) == pytest.approx(share, abs=0.02)


def test_pack_is_what_copy_reads_with_text_in_its_own_length():
    texts = np.array([b"a", b"", b"long enough"])
    numbers = np.array([1, 2, 3], dtype=">i8")
    expected = b"".join(
        b"\0\2" + (8).to_bytes(4) + int(number).to_bytes(8) + len(text).to_bytes(4) + bytes(text)
        for number, text in zip(numbers, texts, strict=True)
    )
    assert pack(numbers, texts) == expected
    assert len(HEAD) == 19
    assert END == b"\xff\xff"


@pytest.fixture
async def loaded(connection: asyncpg.Connection) -> asyncpg.Connection:
    await load_platform(connection, WORLD)
    await load_log(connection, WORLD, range(5))
    await load_log(connection, WORLD, range(5, WORLD.actions))
    return connection


async def test_load_writes_users_and_posts_with_their_vectors(loaded: asyncpg.Connection):
    await register_vector(loaded)
    users = await loaded.fetch("SELECT id FROM users")
    assert {row["id"].bytes for row in users} == set(WORLD.user_ids().tolist())
    posts = await loaded.fetch("SELECT id FROM posts")
    rows = await loaded.fetch("SELECT * FROM post_embeddings")
    assert {row["post_id"] for row in rows} == {row["id"] for row in posts}
    expected = dict(zip(WORLD.post_ids().tolist(), WORLD.post_vectors()["numbers"], strict=True))
    for row in rows:
        vector = row["embedding"].to_numpy()
        assert (vector == expected[row["post_id"].bytes]).all()
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-6)
        assert row["model_version"] == MODEL.decode()


async def test_load_writes_the_log_in_order(loaded: asyncpg.Connection):
    rows = await loaded.fetch("SELECT * FROM action_log ORDER BY id")
    expected = [
        (UUID(bytes=user.tobytes()), UUID(bytes=post.tobytes()), kind.decode(), int(time))
        for log in map(WORLD.round, range(WORLD.actions))
        for user, post, kind, time in zip(log.users, log.posts, log.types, log.times, strict=True)
    ]
    micro = timedelta(microseconds=1)
    assert [
        (row["user_id"], row["post_id"], row["action_type"], (row["created_at"] - EPOCH) // micro)
        for row in rows
    ] == expected
