from collections import Counter
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import asyncpg
import numpy as np
import pytest

from dev.pooler import Pooler, installed
from dev.postgres import Postgres
from evaluation.live import Limits, Sample, read_sample, session
from evaluation.live.log import BUCKETS, Overview
from evaluation.live.posts import State
from evaluation.live.sample import OTHERS
from evaluation.tryout.indexes import find_indexes
from lib.errors import Unavailable
from lib.store.actions import microseconds
from tests.scene import MODEL, act, build, embed

ON_PLATFORMS = ["tables", "views"]
VIEWS = {"tables": (), "views": ("posts", "post_embeddings", "action_log")}
LOOKBACK = timedelta(days=90)
SMALL = Limits(users=40, actions=400, acted_on=30, posts=35)

ALL_THERE_IS = """
SELECT
  ARRAY(SELECT oid::BIGINT FROM pg_class ORDER BY oid) AS relations,
  ARRAY(SELECT oid::BIGINT FROM pg_proc ORDER BY oid) AS functions,
  ARRAY(SELECT u::TEXT FROM users AS u ORDER BY u) AS users,
  ARRAY(SELECT p::TEXT FROM posts AS p ORDER BY p) AS posts,
  ARRAY(SELECT e.post_id::TEXT || e.model_version FROM post_embeddings AS e ORDER BY 1) AS embedded,
  ARRAY(SELECT a::TEXT FROM action_log AS a ORDER BY a.id) AS log
"""


async def sampled(url: str, limits: Limits | None = None, seconds: float = 30) -> Sample:
    async with session(url, seconds) as opened:
        return await read_sample(opened, "small", LOOKBACK, limits)


def users_of(sample: Sample) -> list[UUID]:
    return [UUID(bytes=one.tobytes()) for one in sample.ids]


def actions_of(sample: Sample) -> list[tuple[UUID, UUID, str, int]]:
    data, users = sample.dataset, users_of(sample)
    posts = [UUID(bytes=one.tobytes()) for one in data.posts]
    columns = (data.actions.user, data.actions.post, data.actions.kind, data.actions.at)
    return [
        (users[user], posts[post], data.types[kind], at)
        for user, post, kind, at in zip(*(column.tolist() for column in columns), strict=True)
    ]


async def test_reading_needs_no_more_than_select_and_changes_nothing(
    bare: asyncpg.Connection, reader_url: str, platform: str
):
    await build(bare)
    before = await bare.fetchrow(ALL_THERE_IS)
    async with session(reader_url) as opened:
        sample = await read_sample(opened, "small", LOOKBACK)
        indexes = await find_indexes(opened, sample)
        assert await opened.value("", "SELECT pg_current_xact_id_if_assigned()::TEXT") is None
        assert await opened.value("", "SHOW transaction_isolation") == "repeatable read"
    assert await bare.fetchrow(ALL_THERE_IS) == before
    assert len(sample.ids) == 60
    assert indexes.views == VIEWS[platform]
    assert len(indexes.missing) == (3 if platform == "tables" else 0)


@pytest.mark.skipif(installed() is None, reason="pgbouncer is not installed")
async def test_a_transaction_pooler_is_no_obstacle(
    postgres: Postgres, bare: asyncpg.Connection, bare_url: str
):
    await build(bare)
    direct = await sampled(bare_url)
    async with Pooler.start(postgres.socket, pool_size=2, server_lifetime=0) as pooler:
        url = pooler.url(urlsplit(bare_url).path[1:])
        pooled = await sampled(url)
        async with session(url) as opened:
            await find_indexes(opened, pooled)
    assert actions_of(pooled) == actions_of(direct)


WRITES = {
    "insert": ("INSERT INTO users DEFAULT VALUES", "25006"),
    "update": ("UPDATE users SET id = id", "25006"),
    "delete": ("DELETE FROM users", "25006"),
    "lock": ("SELECT id FROM users FOR UPDATE", "25006"),
    "create": ("CREATE TABLE mine (id INT)", "25006"),
    "sequence": ("SELECT nextval('counter')", "25006"),
    "read write": ("SET TRANSACTION READ WRITE", "25001"),
}


@pytest.mark.parametrize(("statement", "code"), WRITES.values(), ids=WRITES)
async def test_writing_in_a_session_is_refused(
    bare: asyncpg.Connection, bare_url: str, statement: str, code: str
):
    await bare.execute("CREATE SEQUENCE counter")
    with pytest.raises(Unavailable) as refused:
        async with session(bare_url) as opened:
            await opened.fetch("", statement)
    assert isinstance(refused.value.__cause__, asyncpg.PostgresError)
    assert refused.value.__cause__.sqlstate == code


async def test_dataset_is_what_the_tables_say(bare: asyncpg.Connection, bare_url: str):
    scene = await build(bare, users=30, posts=20)
    now = datetime.now(UTC)
    stranger, gone = uuid4(), uuid4()
    await act(bare, scene.users[0], scene.posts[0], "like_post", now - timedelta(days=179))
    await act(bare, scene.users[0], scene.posts[0], "share_post", now - timedelta(days=181))
    await act(bare, stranger, scene.posts[1], "view_post", now - timedelta(days=100))
    await act(bare, scene.users[1], gone, "view_post")
    same = now - timedelta(days=1)
    for kind in ("like_post", "unlike_post", "share_post"):
        await act(bare, scene.users[2], scene.posts[2], kind, same)
    await act(bare, scene.users[3], scene.posts[3], "like_post", now + timedelta(days=9))
    sample = await sampled(bare_url)
    rows = await bare.fetch(
        "SELECT * FROM action_log WHERE created_at >= now() - INTERVAL '180 days'"
        " ORDER BY created_at, id"
    )
    read = [
        (
            row["user_id"],
            row["post_id"],
            row["action_type"],
            min(microseconds(row["created_at"]), sample.read_at),
        )
        for row in rows
    ]
    assert actions_of(sample) == read
    assert sample.share == 1
    assert Counter(sample.log.types) == Counter(kind for _, _, kind, _ in read)
    assert sample.log.future == 1
    assert set(users_of(sample)) == {user for user, *_ in read}
    missing = {
        user for user, there in zip(users_of(sample), sample.exist, strict=True) if not there
    }
    assert missing == {stranger}
    vectors = {
        row["post_id"]: row["embedding"].to_numpy()
        for row in await bare.fetch("SELECT * FROM post_embeddings")
    }
    born = {row["id"]: row["created_at"] for row in await bare.fetch("SELECT * FROM posts")}
    data = sample.dataset
    assert data.posts.tolist() == sorted(data.posts.tolist())
    for place, post in enumerate(UUID(bytes=one.tobytes()) for one in data.posts):
        first = [at for _, on, _, at in read if on == post]
        created = [microseconds(born[post])] if post in born else []
        assert data.created[place] == min(first + created)
        assert np.array_equal(data.vectors[place], vectors.get(post, np.zeros(384)))
    assert len(data.posts) == len(scene.posts) + 1
    assert (sample.accounts, sample.embedded) == (30, 20)


async def test_sample_holds_whole_users_within_its_limits(bare: asyncpg.Connection, bare_url: str):
    await build(bare, users=300, posts=200)
    sample = await sampled(bare_url, SMALL)
    done = Counter(user for user, *_ in actions_of(sample))
    asked = "SELECT count(*) FROM action_log WHERE user_id = $1"
    for user in users_of(sample):
        assert done[user] == await bare.fetchval(asked, user)
    assert 0 < len(done) <= SMALL.users
    assert sum(done.values()) <= SMALL.actions
    assert len(np.unique(sample.dataset.actions.post)) <= SMALL.acted_on
    assert len(sample.dataset.posts) <= SMALL.posts
    assert sample.share == pytest.approx(len(done) / 300, rel=0.5)
    again = await sampled(bare_url, SMALL)
    assert actions_of(again) == actions_of(sample)
    assert "by a hash of their ids" in sample.dataset.about


async def test_types_beyond_the_most_frequent_ones_are_lumped_together(
    bare: asyncpg.Connection, bare_url: str
):
    scene = await build(bare)
    for number in range(130):
        await act(bare, scene.users[0], scene.posts[0], f"rare_{number}")
    sample = await sampled(bare_url)
    assert len(sample.log.types) == 100
    kinds = Counter(kind for _, _, kind, _ in actions_of(sample))
    assert kinds[OTHERS] == sample.log.actions - sum(sample.log.types.values()) > 0


@pytest.mark.parametrize(
    ("counts", "most", "chosen"),
    [
        ({}, 10, range(BUCKETS)),
        ({0: 4, 1: 6, 2: 1}, 10, range(2)),
        ({0: 11, 1: 6, 2: 5}, 10, range(1, 2)),
        (dict.fromkeys(range(BUCKETS), 11), 10, range(0)),
    ],
    ids=["all", "those that fit", "one too large", "none"],
)
def test_buckets_are_taken_while_they_fit(counts: dict[int, int], most: int, chosen: range):
    buckets = np.array([counts.get(bucket, 0) for bucket in range(BUCKETS)])
    assert Overview({}, 0, 0, buckets).fitting(most) == chosen


async def test_vectors_that_do_not_count_are_told_apart(bare: asyncpg.Connection, bare_url: str):
    scene = await build(bare, users=20, posts=12)
    directions = np.eye(384)
    await embed(bare, scene.posts[0], None)
    await embed(bare, scene.posts[1], np.zeros(384))
    await embed(bare, scene.posts[2], directions[2], model="other")
    await embed(bare, scene.posts[3], 3 * directions[3])
    await bare.execute("DELETE FROM post_embeddings WHERE post_id = $1", scene.posts[4])
    for post in scene.posts:
        await act(bare, scene.users[0], post)
    posts = (await sampled(bare_url)).posts
    states = dict(zip((UUID(bytes=one.tobytes()) for one in posts.ids), posts.states, strict=True))
    expected = [State.ODD, State.ODD, State.OTHER_MODEL, State.COUNTS, State.ABSENT]
    assert [states[post] for post in scene.posts] == expected + [State.COUNTS] * 7
    assert posts.models == {MODEL: 10, "other": 1}
    assert posts.model == MODEL
    assert posts.odd == {"NULL": 1, "zero": 1}
    assert posts.stretched == 8  # the scene's are not of unit length either
