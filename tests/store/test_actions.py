from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import NamedTuple
from uuid import UUID

import asyncpg
import numpy as np
import pytest
from pgvector import Vector

from lib.embedding import BASELINE, DIMENSIONS, SCHEMES, Scheme
from lib.embedding.schemes import WEIGHTS
from lib.store.actions import PLAIN_ACTIONS, Log, active_users, read_log
from tests.reference import (
    LOOKBACK,
    UNDOES,
    Action,
    Erasure,
    Side,
    contributions,
    recent,
)
from tests.scene import RARE, TYPES, act

ON_PLATFORMS = ["tables", "views"]
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
MEANT = {*WEIGHTS, *UNDOES, "dislike_post", "hide_post"}
EVER = timedelta(days=36_500)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

EXTREME = Scheme(
    "extreme",
    1,
    {
        "share_post": 1e9,
        "view_post": 1e-9,
        "like_post": 3.0,
        "bookmark_post": 1.0,
        "comment_post": 1.0,
    },
    # within the lookback an action comes to lose nothing more
    half_life=0.125,
    saturated=True,
    daily_views=True,
    negatives={"hide_post": 1e12, "dislike_post": 1e-12},
    negative_share=1e6,
    centred=True,
    minimum=3,
    interests=9,
    long_history=1,
)
every_scheme = pytest.mark.parametrize(
    "scheme", [*SCHEMES, EXTREME], ids=lambda scheme: scheme.label
)


class Expected(NamedTuple):
    """What one user's log comes to. `posts`: weight and last action of each side of a post."""

    posts: dict[Side, tuple[float, datetime]]
    actions: int
    unknown: int
    retracted: bool

    @property
    def weights(self) -> dict[UUID, float]:
        """By post, where none has two sides."""
        assert len({post for post, _ in self.posts}) == len(self.posts)
        return {post: weight for (post, _), (weight, _) in self.posts.items()}


def expected(
    actions: Sequence[Action],
    read_at: datetime,
    scheme: Scheme,
    *,
    lookback: timedelta = LOOKBACK,
    max_posts: int = 1000,
    erasure: Erasure | None = None,
) -> Expected:
    looked_at = recent(actions, read_at, lookback, erasure)
    parts = contributions(looked_at, read_at, scheme, max_posts)
    return Expected(
        {side: (part.weight, part.acted_at) for side, part in parts.items()},
        sum(part.actions for part in parts.values()),
        sum(action.action_type not in MEANT for action in looked_at),
        any(action.action_type in UNDOES for action in looked_at),
    )


def found(log: Log, place: int) -> Expected:
    histories = log.histories
    mine = slice(histories.offsets[place], histories.offsets[place + 1])
    posts = [UUID(bytes=post.tobytes()) for post in histories.posts[mine]]
    weights = histories.weights[mine].tolist()
    times = [EPOCH + timedelta(microseconds=int(at)) for at in histories.acted_at[mine]]
    sides = {
        (post, weight < 0): (weight, at)
        for post, weight, at in zip(posts, weights, times, strict=True)
    }
    assert len(sides) == len(posts)
    return Expected(
        sides, int(log.actions[place]), int(log.unknown[place]), bool(log.retracted[place])
    )


def assert_alike(said: Expected, whole: Expected, max_posts: int = 1000) -> None:
    """Hold that it is the whole, or of its posts the strongest.

    Among equals any: here sums of what decays are not the same to the last bit.
    """
    for side, (weight, at) in said.posts.items():
        assert at == whole.posts[side][1]
        assert weight == pytest.approx(whole.posts[side][0], rel=1e-4, abs=0)
    strengths = sorted((abs(weight) for weight, _ in whole.posts.values()), reverse=True)
    kept = sorted((abs(weight) for weight, _ in said.posts.values()), reverse=True)
    assert kept == pytest.approx(strengths[:max_posts], rel=1e-4, abs=0)
    assert (said.unknown, said.retracted) == (whole.unknown, whole.retracted)
    if len(strengths) <= max_posts:
        assert said.actions == whole.actions


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
    as_of: datetime | None = None,
) -> Log:
    return await read_log(connection, users, lookback, scheme, max_posts, as_of=as_of)


ERASED = "INSERT INTO embedding.erasures VALUES ($1, $2, $3, $4)"


def made_up(
    random: Random, users: Sequence[UUID], now: datetime
) -> list[tuple[UUID, UUID, str, datetime]]:
    """Return some 300 actions on 5 posts; the last two users never take anything back.

    There are few moments, so that many actions happen at the very same one, some of them to come.
    """
    days = [random.uniform(-120, 5) for _ in range(7)] + [random.uniform(-2, 0) for _ in range(4)]
    moments = [now + day * DAY for day in days]
    posts = [UUID(int=random.getrandbits(64) << random.choice([0, 64])) for _ in range(5)]
    kinds = (*TYPES, *RARE, "unlike_post", "unbookmark_post", "view_post", "")
    drawn = [
        (random.choice(users), random.choice(posts), random.choice(kinds), random.choice(moments))
        for _ in range(320)
    ]
    return [row for row in drawn if row[0] not in users[-2:] or row[2] not in UNDOES]


@pytest.mark.parametrize("seed", range(8))
async def test_log_of_random_actions_is_what_plain_loops_make_of_it(
    connection: asyncpg.Connection, seed: int
):
    random = Random(seed)
    now = await connection.fetchval("SELECT clock_timestamp()")
    users = [UUID(int=random.getrandbits(128)) for _ in range(6)]
    log = await write(connection, made_up(random, users[1:], now))
    for max_posts in (1, 3, 1000):
        said = await read(connection, users, max_posts=max_posts)
        for place, user in enumerate(users):
            mine = [action for action in log if action.user_id == user]
            assert found(said, place) == expected(mine, said.read_at, BASELINE, max_posts=max_posts)


@every_scheme
@pytest.mark.parametrize("seed", range(4))
async def test_log_is_weighed_by_any_scheme_as_plain_loops_weigh_it(
    connection: asyncpg.Connection, seed: int, scheme: Scheme
):
    """As they are or summed by Postgres, cut off or whole, with users erased and opted out."""
    random = Random(seed)
    now = await connection.fetchval("SELECT clock_timestamp()")
    users = [UUID(int=random.getrandbits(128)) for _ in range(7)]
    log = await write(connection, made_up(random, users, now))
    middle, *ahead = sorted({action.created_at for action in log})[3:]
    erasures = {
        users[0]: Erasure(now - 400 * DAY, tuple(ahead[:3]), opted_out=False),
        users[1]: Erasure(middle, (), opted_out=False),
        users[2]: Erasure(now - 400 * DAY, (), opted_out=True),
        users[6]: Erasure(middle, tuple(ahead[-2:]), opted_out=False),
    }
    await connection.executemany(ERASED, [(user, *one) for user, one in erasures.items()])
    for max_posts in (1, 3, 10, 1000):
        said = await read(connection, users, max_posts=max_posts, scheme=scheme)
        for place, user in enumerate(users):
            mine = [action for action in log if action.user_id == user]
            erasure = erasures.get(user)
            whole = expected(mine, said.read_at, scheme, erasure=erasure)
            assert_alike(found(said, place), whole, max_posts)
            assert said.erased[place] == (erasure and erasure.erased_at)
            assert said.opted_out[place] == (erasure is not None and erasure.opted_out)


@every_scheme
async def test_sums_of_the_database_s_are_those_made_here(
    connection: asyncpg.Connection, scheme: Scheme
):
    """A thousand actions of a user come as they are, one more and they come summed."""
    random = Random(5)
    now = await connection.fetchval("SELECT clock_timestamp()")
    user, posts = UUID(int=1), [UUID(int=n) for n in range(10, 16)]
    kinds = [*TYPES, "dislike_post", "hide_post", "view_post", "report_post"]
    rows = [
        (user, random.choice(posts), random.choice(kinds), now - random.uniform(-2, 95) * DAY)
        for _ in range(PLAIN_ACTIONS * 2)
    ]
    rows = [row for row in rows if row[3] > now - LOOKBACK + HOUR][:PLAIN_ACTIONS]
    assert len(rows) == PLAIN_ACTIONS
    log = await write(connection, rows)
    plain = await read(connection, [user], scheme=scheme, max_posts=5000)
    summed = await read(connection, [user], scheme=scheme, max_posts=PLAIN_ACTIONS - 1)
    assert len(summed.records[0]) < len(plain.records[0])
    wanted = expected(log, plain.read_at, scheme)
    assert_alike(found(plain, 0), wanted)
    assert_alike(found(summed, 0), wanted)
    more = await write(connection, [(user, posts[0], "view_post", now - LOOKBACK + HOUR)])
    one_more = await read(connection, [user], scheme=scheme, max_posts=5000)
    assert len(one_more.records[0]) == len(summed.records[0])
    assert_alike(found(one_more, 0), expected(more, one_more.read_at, scheme))


@every_scheme
async def test_log_as_of_a_moment_is_what_was_read_then(
    connection: asyncpg.Connection, scheme: Scheme
):
    random = Random(6)
    users = [UUID(int=random.getrandbits(128)) for _ in range(5)]
    now = await connection.fetchval("SELECT clock_timestamp()")
    rows = [row for row in made_up(random, users, now) if row[3] < now]
    at_the_edge = now - LOOKBACK + timedelta(milliseconds=1500)
    rows.append((users[0], UUID(int=9), "share_post", at_the_edge))
    await write(connection, rows)
    then = [
        await read(connection, users, scheme=scheme, max_posts=max_posts)
        for max_posts in (1, 3, 10, 1000)
    ]
    await connection.execute("SELECT pg_sleep_until($1::TIMESTAMPTZ)", at_the_edge + LOOKBACK)
    later = then[-1].read_at + timedelta(microseconds=1)
    again = [(user, post, kind, later) for user, post, kind, _ in rows]
    await write(connection, [*again, (users[0], UUID(int=9), "unlike_post", later + 400 * DAY)])
    for max_posts, before in zip((1, 3, 10, 1000), then, strict=True):
        said = await read(
            connection, users, scheme=scheme, max_posts=max_posts, as_of=before.read_at
        )
        for place in range(len(users)):
            assert_alike(found(said, place), found(before, place), max_posts)
    assert (UUID(int=9), False) in found(then[-1], 0).posts


@every_scheme
@pytest.mark.parametrize("seed", range(4))
async def test_an_action_and_its_retraction_leave_the_log_without_both(
    connection: asyncpg.Connection, seed: int, scheme: Scheme
):
    """Wherever they stand among the others, if there was nothing before to take back."""
    random = Random(seed)
    users = [UUID(int=random.getrandbits(128)) for _ in range(4)]
    now = await connection.fetchval("SELECT clock_timestamp()")
    rows = [row for row in made_up(random, users, now) if row[3] < now]
    await write(connection, rows)
    before = {
        max_posts: await read(connection, users, scheme=scheme, max_posts=max_posts, as_of=now)
        for max_posts in (3, 1000)
    }
    for user in users:
        retraction, kind = random.choice(list(UNDOES.items()))
        taken = {post for owner, post, was, _ in rows if (owner, was) == (user, kind)}
        post = random.choice(
            [*({row[1] for row in rows} - taken), UUID(int=random.getrandbits(64))]
        )
        done = now - random.uniform(1, 80) * DAY
        undone = done + random.uniform(0, 1) * (now - done)
        await write(connection, [(user, post, kind, done), (user, post, retraction, undone)])
    for max_posts, then in before.items():
        log = await read(connection, users, scheme=scheme, max_posts=max_posts, as_of=now)
        for place in range(len(users)):
            assert_alike(
                found(log, place)._replace(retracted=found(then, place).retracted),
                found(then, place),
                max_posts,
            )


async def test_log_as_of_a_moment_knows_nothing_of_what_was_to_come(
    connection: asyncpg.Connection,
):
    """Though a read at that moment counted it, if it was there: the log does not say since when."""
    user, post = UUID(int=1), UUID(int=2)
    now = await connection.fetchval("SELECT clock_timestamp()")
    await write(
        connection,
        [(user, post, "like_post", now - HOUR), (user, post, "share_post", now + HOUR)],
    )
    assert found(await read(connection, [user]), 0).weights == {post: 15}
    past = await read(connection, [user], as_of=now)
    assert found(past, 0).weights == {post: 5}
    assert past.read_at > now


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
    assert said.weights == {other: 5} | ({post: weight} if weight else {})
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
    assert found(said, 0).posts == {(post, False): (5, now)}


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
    assert set(said.weights) == {other}
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
    assert said.weights == {viewed: 1000, shared: 10}
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
    assert said.weights[shared] == 10
    assert set(said.weights) == {shared, *(UUID(int=n) for n in range(9))}


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
    assert set(found(await read(connection, [user]), 0).weights) == {UUID(int=11), UUID(int=12)}
    for ever in (EVER, timedelta(days=100)):
        said = await read(connection, [user], lookback=ever)
        assert set(found(said, 0).weights) == set(times)


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


async def test_what_pushes_away_is_as_strong_as_what_draws_near_by_the_size_of_its_weight(
    connection: asyncpg.Connection,
):
    scheme = Scheme(
        "spiteful",
        1,
        {"like_post": 5.0, "view_post": 0.0},
        negatives={"hide_post": 9.0},
        negative_share=1.0,
    )
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
    assert every.weights == {liked: 5, hidden: -9}
    one = found(await read(connection, [user], scheme=scheme, max_posts=1), 0)
    assert set(one.weights) == {hidden}


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
