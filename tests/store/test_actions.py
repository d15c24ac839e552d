from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import NamedTuple
from uuid import UUID

import asyncpg
import numpy as np
import pytest
from pgvector import Vector

from lib.embedding import BASELINE, DIMENSIONS, Scheme
from lib.store.actions import Log, active_users, read_log
from tests.reference import UNDOES, WEIGHTS
from tests.scene import RARE, TYPES, act

ON_PLATFORMS = ["tables", "views"]
LOOKBACK = timedelta(days=90)
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
MEANT = {*WEIGHTS, *UNDOES, "dislike_post", "hide_post"}


class Action(NamedTuple):
    id: int
    user_id: UUID
    post_id: UUID
    action_type: str
    created_at: datetime


class Expected(NamedTuple):
    """What one user's log comes to. `posts`: weight and last action of each, strongest first."""

    posts: dict[UUID, tuple[float, datetime]]
    actions: int
    unknown: int
    retracted: bool


def expected(log: Sequence[Action], user: UUID, since: datetime, max_posts: int) -> Expected:
    mine = [action for action in log if action.user_id == user and action.created_at >= since]
    kept: dict[UUID, list[Action]] = {}
    for action in mine:
        cancelled = [
            other
            for other in mine
            if UNDOES.get(other.action_type) == action.action_type
            and other.post_id == action.post_id
            and (other.created_at, other.id) > (action.created_at, action.id)
        ]
        if action.action_type in WEIGHTS and not cancelled:
            kept.setdefault(action.post_id, []).append(action)
    weights = {post: sum(WEIGHTS[a.action_type] for a in actions) for post, actions in kept.items()}
    strongest = sorted(weights, key=lambda post: (-weights[post], post))[:max_posts]
    return Expected(
        {post: (weights[post], max(a.created_at for a in kept[post])) for post in strongest},
        sum(len(kept[post]) for post in strongest),
        sum(action.action_type not in MEANT for action in mine),
        any(action.action_type in UNDOES for action in mine),
    )


def found(log: Log, place: int) -> Expected:
    histories = log.histories
    mine = slice(histories.offsets[place], histories.offsets[place + 1])
    posts = [UUID(bytes=post.tobytes()) for post in histories.posts[mine]]
    times = [EPOCH + timedelta(microseconds=int(at)) for at in histories.acted_at[mine]]
    assert len(set(posts)) == len(posts)
    return Expected(
        dict(zip(posts, zip(histories.weights[mine].tolist(), times, strict=True), strict=True)),
        int(log.actions[place]),
        int(log.unknown[place]),
        bool(log.retracted[place]),
    )


async def write(
    connection: asyncpg.Connection, rows: Sequence[tuple[UUID, UUID, str, datetime]]
) -> list[Action]:
    """Log actions; ids count in the order of the rows."""
    await connection.executemany(
        "INSERT INTO action_log (user_id, post_id, action_type, created_at)"
        " VALUES ($1, $2, $3, $4)",
        rows,
    )
    return [
        Action(**row)
        for row in await connection.fetch(
            "SELECT id, user_id, post_id, action_type, created_at FROM action_log"
        )
    ]


async def read(
    connection: asyncpg.Connection,
    users: Sequence[UUID],
    *,
    lookback: timedelta = LOOKBACK,
    max_posts: int = 1000,
    scheme: Scheme = BASELINE,
) -> Log:
    return await read_log(connection, users, lookback, scheme, max_posts)


@pytest.mark.parametrize("seed", range(8))
async def test_log_of_random_actions_is_what_plain_loops_make_of_it(
    connection: asyncpg.Connection, seed: int
):
    random = Random(seed)
    now = await connection.fetchval("SELECT clock_timestamp()")
    # few moments, so that many actions happen at the very same one, some of them to come
    moments = [now + timedelta(days=random.uniform(-120, 5)) for _ in range(9)]
    users = [UUID(int=random.getrandbits(128)) for _ in range(6)]
    posts = [UUID(int=random.getrandbits(64) << random.choice([0, 64])) for _ in range(5)]
    log = await write(
        connection,
        [
            (
                random.choice(users[1:]),
                random.choice(posts),
                random.choice((*TYPES, *RARE, "unlike_post", "unbookmark_post", "")),
                random.choice(moments),
            )
            for _ in range(250)
        ],
    )
    for max_posts in (1, 3, 1000):
        said = await read(connection, users, max_posts=max_posts)
        for place, user in enumerate(users):
            wanted = expected(log, user, said.read_at - LOOKBACK, max_posts)
            assert found(said, place) == wanted


@pytest.mark.parametrize(
    ("kinds", "weight"),
    [
        (["like_post", "unlike_post"], 0),
        (["like_post", "like_post", "unlike_post"], 0),
        (["unlike_post", "like_post"], 5),
        (["like_post", "unlike_post", "like_post"], 5),
        (["like_post", "unlike_post", "unlike_post"], 0),
        (["like_post", "unbookmark_post"], 5),
        (["bookmark_post", "view_post", "unbookmark_post"], 1),
        (["view_post", "share_post", "comment_post", "unlike_post"], 19),
        (["like_post", "dislike_post", "hide_post"], 5),
    ],
    ids=str,
)
@pytest.mark.parametrize("step", [timedelta(0), timedelta(microseconds=1)], ids=["tie", "later"])
async def test_retraction_cancels_what_was_before_it_by_time_and_then_by_id(
    connection: asyncpg.Connection, kinds: list[str], weight: float, step: timedelta
):
    user, post, other = (UUID(int=n) for n in range(3))
    at = datetime.now(UTC)
    await write(connection, [(user, other, "like_post", at), (other, post, "like_post", at)])
    await write(connection, [(user, post, kind, at + n * step) for n, kind in enumerate(kinds)])
    said = found(await read(connection, [user]), 0)
    weights = {post: weight for post, (weight, _) in said.posts.items()}
    assert weights == {other: 5} | ({post: weight} if weight else {})
    assert said.retracted == any(kind in UNDOES for kind in kinds)


async def test_retraction_with_an_earlier_time_cancels_nothing_though_it_was_logged_later(
    connection: asyncpg.Connection,
):
    user, post = UUID(int=1), UUID(int=2)
    now = datetime.now(UTC)
    await write(
        connection,
        [
            (user, post, "like_post", now),
            (user, post, "unlike_post", now - timedelta(microseconds=1)),
        ],
    )
    said = await read(connection, [user])
    assert found(said, 0).posts[post] == (5, now)


async def test_user_who_likes_and_unlikes_one_post_for_ever_is_read_in_no_time(
    connection: asyncpg.Connection,
):
    """Or whoever shares a slice with such a user waits for a statement that takes too long."""
    user, post, other = (UUID(int=n) for n in range(3))
    await act(connection, user, other, "share_post")
    await connection.execute(
        "INSERT INTO action_log (user_id, post_id, action_type, created_at)"
        " SELECT $1, $2, (ARRAY['like_post', 'unlike_post'])[n % 2 + 1],"
        " clock_timestamp() - n * INTERVAL '1 second' FROM generate_series(1, 30000) n",
        user,
        post,
    )
    await connection.execute("ANALYZE; SET statement_timeout = '3s'")
    said = found(await read(connection, [user]), 0)
    assert set(said.posts) == {other}
    assert said.retracted


async def test_thousand_views_of_one_post_never_evict_a_share(connection: asyncpg.Connection):
    user, viewed, shared, liked = (UUID(int=n) for n in range(4))
    now = datetime.now(UTC)
    await write(
        connection,
        [
            (user, shared, "share_post", now - timedelta(days=80)),
            (user, liked, "like_post", now - timedelta(days=80)),
            *[(user, viewed, "view_post", now - timedelta(seconds=n)) for n in range(1000)],
        ],
    )
    said = found(await read(connection, [user], max_posts=2), 0)
    assert {post: weight for post, (weight, _) in said.posts.items()} == {viewed: 1000, shared: 10}
    assert said.actions == 1001


async def test_thousand_posts_viewed_today_never_evict_a_share_of_long_ago(
    connection: asyncpg.Connection,
):
    user, shared = UUID(int=1), UUID(int=2**100)
    now = datetime.now(UTC)
    await write(
        connection,
        [
            (user, shared, "share_post", now - timedelta(days=80)),
            *[(user, UUID(int=n), "view_post", now) for n in range(1000)],
        ],
    )
    said = found(await read(connection, [user], max_posts=10), 0)
    assert len(said.posts) == 10
    assert said.posts[shared][0] == 10
    assert set(said.posts) == {shared, *(UUID(int=n) for n in range(9))}


async def test_lookback_ends_at_the_moment_of_reading_and_the_future_is_in(
    connection: asyncpg.Connection,
):
    user = UUID(int=1)
    now = await connection.fetchval("SELECT clock_timestamp()")
    times = {
        UUID(int=10): now - LOOKBACK - timedelta(seconds=1),
        UUID(int=11): now - LOOKBACK + timedelta(minutes=1),
        UUID(int=12): now + timedelta(days=400),
    }
    await write(connection, [(user, post, "view_post", at) for post, at in times.items()])
    assert set(found(await read(connection, [user]), 0).posts) == {UUID(int=11), UUID(int=12)}
    for ever in (timedelta(days=36_500), timedelta(days=100)):
        said = await read(connection, [user], lookback=ever)
        assert set(found(said, 0).posts) == set(times)


async def test_action_at_the_end_of_time_is_read_like_any_other(connection: asyncpg.Connection):
    user, post = UUID(int=1), UUID(int=2)
    await connection.execute(
        "INSERT INTO action_log (user_id, post_id, action_type, created_at)"
        " VALUES ($1, $2, 'like_post', 'infinity'), ($1, $2, 'like_post', '-infinity')",
        user,
        post,
    )
    said = await read(connection, [user])
    assert said.histories.weights.tolist() == [5.0]


async def test_log_is_in_the_order_asked_for_and_says_who_exists_and_has_a_vector(
    connection: asyncpg.Connection,
):
    bare, empty, kept, gone = (UUID(int=n) for n in (4, 3, 2, 1))
    for user in (bare, empty, kept):
        await connection.execute("INSERT INTO users (id) VALUES ($1)", user)
    for user, vector in ((empty, None), (kept, Vector([1] * DIMENSIONS))):
        await connection.execute(
            "INSERT INTO user_embeddings (user_id, embedding, model_version) VALUES ($1, $2, 'm')",
            user,
            vector,
        )
    for n, user in enumerate((gone, kept, bare)):
        for _ in range(n):
            await act(connection, user, UUID(int=9))
    said = await read(connection, [bare, empty, kept, gone])
    assert said.exists.tolist() == [True, True, True, False]
    assert said.stored.tolist() == [False, False, True, False]
    assert said.actions.tolist() == [2, 0, 1, 0]
    assert np.diff(said.histories.offsets).tolist() == [1, 0, 1, 0]


async def test_log_is_dated_by_the_database_s_clock_as_it_is_read(connection: asyncpg.Connection):
    before = await connection.fetchval("SELECT clock_timestamp()")
    said = await read(connection, [UUID(int=1)])
    assert before < said.read_at < await connection.fetchval("SELECT clock_timestamp()")


async def test_negative_weights_of_a_scheme_count_by_their_size(connection: asyncpg.Connection):
    scheme = Scheme("spiteful", 1, {"like_post": 5.0, "hide_post": -9.0, "view_post": 0.0})
    user, liked, hidden, viewed = (UUID(int=n) for n in range(4))
    at = datetime.now(UTC)
    await write(
        connection,
        [
            (user, liked, "like_post", at),
            (user, hidden, "hide_post", at),
            (user, viewed, "view_post", at),
        ],
    )
    every = found(await read(connection, [user], scheme=scheme), 0)
    assert {post: weight for post, (weight, _) in every.posts.items()} == {liked: 5, hidden: -9}
    one = found(await read(connection, [user], scheme=scheme, max_posts=1), 0)
    assert set(one.posts) == {hidden}


async def test_active_users_are_those_who_acted_since_and_those_who_are_due(
    connection: asyncpg.Connection,
):
    early, late, due, both = (UUID(int=n) for n in range(4))
    now = datetime.now(UTC)
    await write(
        connection,
        [
            (early, early, "view_post", now - timedelta(hours=2)),
            (late, late, "anything", now),
            (late, late, "view_post", now + timedelta(days=1)),
            (both, both, "view_post", now - timedelta(hours=1)),
        ],
    )
    for user, reason in ((due, "rebuild"), (due, "failed"), (both, "retraction")):
        await connection.execute("INSERT INTO embedding.due VALUES ($1, $2)", user, reason)
    since = now - timedelta(hours=1)
    assert await active_users(connection, since, 10) == [late, due, both]
    assert await active_users(connection, since, 2) == [late, due]
