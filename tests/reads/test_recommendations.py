"""GET /api/users/{id}/recommendations: what comes, what never does, and in which order."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import numpy as np
import pytest
from asyncpg import Connection
from pgvector import Vector

from lib.batch.popularity import count_popularity
from lib.blend import load_blend
from lib.privacy import opt_out_user
from lib.recommend.services import Readers
from tests.reads.conftest import API, Reads, client, events, store, unit
from tests.scene import MODEL, act, embed

ON_PLATFORMS = ["tables", "views"]

BLEND = load_blend()
DAY = timedelta(days=1)
TOPICS = ("art", "bread", "cats")
SOME = UUID(int=7)


@dataclass(frozen=True)
class Post:
    """A post as it was made; `vector` (384,)."""

    id: UUID
    author: UUID | None
    topic: str
    created: datetime
    vector: np.ndarray


@pytest.fixture
async def posts(connection: Connection) -> list[Post]:
    """Forty posts of the last weeks, in three topics; fewer than any answer looks at."""
    random = np.random.default_rng(1)
    now = datetime.now(UTC)
    made = [
        Post(
            UUID(int=int(random.integers(1 << 62))),
            uuid4(),
            TOPICS[number % 3],
            now - DAY * float(random.uniform(0, 20)),
            unit(100 + number),
        )
        for number in range(40)
    ]
    for post in made:
        await publish(connection, post)
    return made


async def publish(connection: Connection, post: Post, model: str = MODEL) -> None:
    await connection.execute(
        "INSERT INTO posts (id, author_id, topic, created_at) VALUES ($1, $2, $3, $4)",
        post.id,
        post.author,
        post.topic,
        post.created,
    )
    await embed(connection, post.id, post.vector, model)


async def ask(reads: Reads, user: UUID, **query: str) -> dict[str, Any]:
    answer = await reads.get(f"{user}/recommendations", **query)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def shown(reads: Reads, user: UUID, **query: str) -> list[UUID]:
    return [UUID(post["post_id"]) for post in (await ask(reads, user, **query))["posts"]]


async def expected(
    connection: Connection, user: UUID, posts: Sequence[Post], directions: Sequence[Any]
) -> dict[UUID, tuple[float, float, float, int]]:
    """Return each post's parts, and its interest, by the definition, one post after the other.

    `directions`: vectors, each with its product with the mean.
    """
    now = await connection.fetchval("SELECT clock_timestamp()")
    end = await connection.fetchval("SELECT counted_until FROM embedding.popularity_state")
    log = await connection.fetch("SELECT * FROM action_log")
    weights = {"view_post": 1, "like_post": 5, "comment_post": 8, "share_post": 10}
    popular = {
        post.id: sum(
            weights.get(row["action_type"], 0)
            * 0.5 ** ((now - row["created_at"]) / DAY / BLEND.popularity_days)
            for row in log
            if row["post_id"] == post.id and end and row["created_at"] < end
        )
        for post in posts
    }
    most = max(popular.values())
    acted = len({row["post_id"] for row in log if row["user_id"] == user})
    found = {}
    for post in posts:
        near = [float(np.dot(u.astype(float), post.vector)) - centre for u, centre in directions]
        trust = acted / (acted + BLEND.trust)
        found[post.id] = (
            BLEND.similarity * trust * max(near, default=0.0),
            BLEND.freshness * 0.5 ** ((now - post.created) / DAY / BLEND.freshness_days),
            BLEND.popularity * (np.log1p(popular[post.id]) / np.log1p(most) if most else 0.0),
            int(np.argmax(near)) if near else 0,
        )
    return found


def assert_answered(
    answer: dict[str, Any], wanted: dict[UUID, tuple[float, float, float, int]], *, interests: bool
) -> None:
    order = sorted(wanted, key=lambda post: (-sum(wanted[post][:3]), post))
    assert [UUID(post["post_id"]) for post in answer["posts"]] == order[: len(answer["posts"])]
    for position, post in enumerate(answer["posts"]):
        *parts, interest = wanted[UUID(post["post_id"])]
        told = [post["similarity"], post["freshness"], post["popularity"]]
        assert told == pytest.approx(parts, abs=1e-5)
        assert post["score"] == pytest.approx(sum(told), abs=1e-12)
        assert post["position"] == position
        assert post["interest"] == (interest if interests else None)
        assert post["explored"] is False


async def log_some(connection: Connection, user: UUID, posts: Sequence[Post]) -> None:
    """Let the user know the first five posts, and others all of them, some more than others."""
    for post in posts[:5]:
        await act(connection, user, post.id, "view_post", datetime.now(UTC) - DAY)
    for number, post in enumerate(posts):
        for kind in ("view_post", "like_post", "share_post")[: number % 4]:
            at = datetime.now(UTC) - DAY * (1 + number % 9)
            await act(connection, uuid4(), post.id, kind, at)


@pytest.mark.parametrize("counted", [True, False], ids=["counted", "never counted"])
async def test_answer_is_what_the_definition_says(
    reads: Reads, readers: Readers, connection: Connection, posts: list[Post], *, counted: bool
):
    user = await store(connection)
    await log_some(connection, user, posts)
    if counted:
        await count_popularity(readers.database, BLEND.popularity_days, 0)
    answer = await ask(reads, user, limit="30", diversity="0")
    assert (answer["user_id"], answer["personal"]) == (str(user), True)
    assert answer["model_version"] == MODEL
    assert len(answer["posts"]) == 30
    wanted = await expected(connection, user, posts, [(unit(1), 0.0)])
    unseen = {post.id: wanted[post.id] for post in posts[5:]}
    assert_answered(answer, unseen, interests=False)
    everything = await ask(reads, user, limit="40", diversity="0", exclude_seen="0")
    assert_answered(everything, wanted, interests=False)


async def centre_on(connection: Connection, user: UUID, centre: float) -> int:
    """Let the user's vector have been made with a mean."""
    mean = await connection.fetchval(
        "INSERT INTO embedding.means (model, cut, count, vector) VALUES ($1, now(), 9, $2)"
        " RETURNING id",
        MODEL,
        Vector(unit(50) * 0.4),
    )
    await connection.execute(
        "INSERT INTO embedding.user_offsets VALUES ($1, $2, $3)", user, mean, centre
    )
    return mean


async def test_nearest_of_several_interests_counts_each_less_its_centre(
    reads: Reads, readers: Readers, connection: Connection, posts: list[Post]
):
    user = await store(connection, model_version=f"{MODEL}/recommended@1#1")
    await centre_on(connection, user, 0.3)
    directions = [(unit(2), 0.05), (unit(3), -0.1), (unit(4), 0.0)]
    for place, (vector, centre) in enumerate(directions):
        await connection.execute(
            "INSERT INTO embedding.user_interests VALUES ($1, $2, 0.3, $1, $3, $4)",
            user,
            place,
            centre,
            Vector(vector),
        )
    await log_some(connection, user, posts)
    await count_popularity(readers.database, BLEND.popularity_days, 0)
    answer = await ask(reads, user, limit="35", diversity="0")
    assert answer["model_version"] == f"{MODEL}/recommended@1#1"
    wanted = await expected(connection, user, posts, directions)
    assert_answered(answer, {post.id: wanted[post.id] for post in posts[5:]}, interests=True)
    assert {post["interest"] for post in answer["posts"]} == {0, 1, 2}


@pytest.mark.parametrize("interest", [True, False], ids=["an only interest", "no interests"])
async def test_own_vector_counts_less_its_centre(
    reads: Reads, connection: Connection, posts: list[Post], *, interest: bool
):
    user = await store(connection, model_version=f"{MODEL}/centred@1#1")
    await centre_on(connection, user, 0.2)
    if interest:
        await connection.execute(
            "INSERT INTO embedding.user_interests VALUES ($1, 0, 1, $1, 0.2, NULL)", user
        )
    await act(connection, user, posts[0].id)
    answer = await ask(reads, user, diversity="0")
    wanted = await expected(connection, user, posts[1:], [(unit(1), 0.2)])
    assert_answered(answer, wanted, interests=interest)


async def without_vector(connection: Connection, _: Readers) -> UUID:
    user = uuid4()
    await connection.execute("INSERT INTO users VALUES ($1)", user)
    return user


async def of_another_model(connection: Connection, _: Readers) -> UUID:
    return await store(connection, model_version="another-model/decay@1")


async def opted_out(connection: Connection, readers: Readers) -> UUID:
    user = await store(connection)
    await opt_out_user(readers.database, readers.cache, user)
    return user


async def opted_out_with_a_vector_left(connection: Connection, readers: Readers) -> UUID:
    user = await opted_out(connection, readers)
    return await store(connection, user=user)


@pytest.mark.parametrize(
    "make", [without_vector, of_another_model, opted_out, opted_out_with_a_vector_left]
)
async def test_without_a_vector_what_is_popular_and_new_comes(
    reads: Reads, readers: Readers, connection: Connection, posts: list[Post], make: Any
):
    user = await make(connection, readers)
    await log_some(connection, user, posts)
    await count_popularity(readers.database, BLEND.popularity_days, 0)
    answer = await ask(reads, user, limit="30", diversity="0")
    assert (answer["personal"], answer["model_version"]) == (False, None)
    wanted = await expected(connection, user, posts, [])
    assert_answered(answer, {post.id: wanted[post.id] for post in posts[5:]}, interests=False)


@pytest.mark.parametrize("personal", [True, False])
async def test_what_is_the_users_own_or_was_disliked_or_hidden_never_comes(
    reads: Reads, connection: Connection, posts: list[Post], *, personal: bool
):
    user = await store(connection, model_version=MODEL if personal else "another-model")
    own = Post(uuid4(), user, "art", datetime.now(UTC), unit(1))
    await publish(connection, own)
    hidden, disliked, viewed, strange = (post.id for post in posts[:4])
    await act(connection, user, hidden, "hide_post")
    await act(connection, user, hidden, "like_post")
    await act(connection, user, disliked, "dislike_post", datetime(2001, 1, 1, tzinfo=UTC))
    await act(connection, user, viewed, "view_post", datetime(2001, 1, 1, tzinfo=UTC))
    await act(connection, user, strange, "report_post")
    everybody = {post.id for post in posts}
    assert set(await shown(reads, user, limit="100")) == everybody - {
        hidden,
        disliked,
        viewed,
        strange,
    }
    assert set(await shown(reads, user, limit="100", exclude_seen="0")) == everybody - {
        hidden,
        disliked,
    }


@pytest.mark.parametrize("personal", [True, False])
async def test_only_posts_that_exist_with_an_embedding_of_the_model_come(
    reads: Reads, readers: Readers, connection: Connection, posts: list[Post], *, personal: bool
):
    user = await store(connection, model_version=MODEL if personal else "another-model")
    other, bare, gone = (Post(uuid4(), None, "art", datetime.now(UTC), unit(1)) for _ in range(3))
    await publish(connection, other, "another-model")
    await publish(connection, bare)
    await publish(connection, gone)
    await embed(connection, bare.id, None)
    for post in (other, bare, gone):
        await act(connection, uuid4(), post.id, "share_post")
    await count_popularity(readers.database, BLEND.popularity_days, 0)
    await connection.execute(
        "DELETE FROM content WHERE content_id = $1"
        if await connection.fetchval("SELECT to_regclass('content') IS NOT NULL")
        else "DELETE FROM posts WHERE id = $1",
        gone.id,
    )
    assert set(await shown(reads, user, limit="100")) == {post.id for post in posts}


async def test_since_and_topics_leave_others_out(
    reads: Reads, connection: Connection, posts: list[Post]
):
    user = await store(connection)
    since = datetime.now(UTC) - 10 * DAY
    for query, wanted in (
        ({"topics": "art"}, lambda post: post.topic == "art"),
        ({"topics": "art,cats,dogs"}, lambda post: post.topic != "bread"),
        ({"since": since.isoformat()}, lambda post: post.created >= since),
        ({"since": posts[3].created.isoformat()}, lambda post: post.created >= posts[3].created),
        ({"topics": "dogs"}, lambda _: False),
        (
            {"since": since.isoformat(), "topics": "bread"},
            lambda post: post.created >= since and post.topic == "bread",
        ),
    ):
        found = await shown(reads, user, limit="100", **query)
        assert set(found) == {post.id for post in posts if wanted(post)}, query


@pytest.mark.usefixtures("posts")
async def test_answer_names_itself_and_is_else_the_same_again(reads: Reads, connection: Connection):
    user = await store(connection)
    first, second = await ask(reads, user), await ask(reads, user)
    assert first["rec_id"] != second["rec_id"]
    assert len(first["posts"]) == 20
    assert [post["post_id"] for post in first["posts"]] == [
        post["post_id"] for post in second["posts"]
    ]


async def test_equal_posts_come_in_the_order_of_their_ids(reads: Reads, connection: Connection):
    user = await store(connection)
    created = datetime.now(UTC) - DAY
    twins = [Post(uuid4(), None, "art", created, unit(9)) for _ in range(9)]
    for post in twins:
        await publish(connection, post)
    wanted = sorted(post.id for post in twins)
    assert await shown(reads, user, diversity="0") == wanted
    assert await shown(reads, user, diversity="0.3") == wanted


async def test_diversity_keeps_what_is_alike_apart(reads: Reads, connection: Connection):
    """Nine posts of one kind are nearest; with diversity the tenth, of another, comes second."""
    user = await store(connection)
    await act(connection, user, uuid4())
    created = datetime.now(UTC) - DAY
    kinds = [unit(1) + 0.1 * unit(20 + number) for number in range(9)] + [unit(40)]
    made = [Post(uuid4(), None, "art", created, vector) for vector in kinds]
    for post in made:
        await publish(connection, post)
    assert (await shown(reads, user, diversity="0"))[9] == made[9].id
    assert (await shown(reads, user, diversity="0.6"))[1] == made[9].id


async def kept(connection: Connection) -> list[asyncpg.Record]:
    return await connection.fetch(
        "SELECT * FROM embedding.showings JOIN embedding.impressions USING (rec_id)"
        " ORDER BY rec_id, position"
    )


@pytest.mark.usefixtures("posts")
@pytest.mark.parametrize("personal", [True, False])
async def test_what_was_shown_is_kept_as_it_was_answered(
    reads: Reads, connection: Connection, *, personal: bool
):
    user = await store(connection, model_version=MODEL if personal else "another-model")
    answer = await ask(reads, user)
    rows = await kept(connection)
    assert {(row["rec_id"], row["user_id"]) for row in rows} == {(UUID(answer["rec_id"]), user)}
    assert {row["arm"] for row in rows} == {MODEL if personal else None}
    names = ("position", "score", "similarity", "freshness", "popularity")
    assert [(str(row["post_id"]), *(row[name] for name in names)) for row in rows] == [
        (post["post_id"], *(post[name] for name in names)) for post in answer["posts"]
    ]
    assert {row["propensity"] for row in rows} == {None}


@pytest.mark.usefixtures("posts")
async def test_only_the_share_of_the_answers_is_kept(reads: Reads, connection: Connection):
    user = await store(connection)
    for share in ("0", "0.5"):
        async with client(dict(reads.environ) | {"IMPRESSION_SHARE": share}) as http:
            asked = [
                await http.get(f"/api/users/{user}/recommendations", headers=API) for _ in range(20)
            ]
        assert all(answer.status_code == 200 for answer in asked)
        found = await connection.fetchval("SELECT count(*) FROM embedding.showings")
        assert found == 0 if share == "0" else 0 < found < 20


@pytest.mark.usefixtures("posts")
async def test_position_given_at_random_says_so_and_its_propensity_is_kept(
    reads: Reads, connection: Connection
):
    user = await store(connection)
    async with client(dict(reads.environ) | {"EXPLORE_SHARE": "0.5"}) as http:
        answers = [
            (await http.get(f"/api/users/{user}/recommendations", headers=API)).json()
            for _ in range(10)
        ]
    explored = {
        (UUID(answer["rec_id"]), post["position"]): post["explored"]
        for answer in answers
        for post in answer["posts"]
    }
    rows = await kept(connection)
    assert len(rows) == len(explored) == 200
    assert 60 < sum(explored.values()) < 140
    for row in rows:
        wanted = 0.5 / (40 - row["position"]) if explored[row["rec_id"], row["position"]] else None
        assert row["propensity"] == wanted


BAD = {
    "limit": ["0", "101", "-1", "1.5", "ten", "", "9" * 400],
    "exclude_seen": ["2", "yes", "", "true"],
    "since": ["yesterday", "2026-01-01", "2026-01-01T00:00:00", "", "2026-13-01T00:00:00Z"],
    "topics": ["", "a,,b", ",", ",".join(map(str, range(21))), "a\0b"],
    "diversity": ["1.1", "-0.1", "1e1", "nan", "inf", "", "0,3", "1_0", "0x1", ".", "E0"],
    "offset": ["0"],
    "Limit": ["5"],
}


@pytest.mark.parametrize(
    ("field", "value"), [(field, value) for field, values in BAD.items() for value in values]
)
async def test_query_that_breaks_a_rule_is_refused_before_any_connection(
    reads: Reads, field: str, value: str
):
    answer = await reads.get(f"{SOME}/recommendations", **{field: value})
    assert answer.status_code == 400
    assert (answer.json()["error"], answer.json()["field"]) == ("invalid", field)
    assert answer.json()["rule"]
    assert reads.proxy.connections == 0


async def test_field_that_is_there_twice_is_refused(reads: Reads):
    answer = await reads.http.get(f"/api/users/{SOME}/recommendations?limit=5&limit=6", headers=API)
    assert (answer.status_code, answer.json()["field"]) == (400, "limit")


@pytest.mark.parametrize("user", ["x", "1", f"{{{SOME}}}", SOME.hex, f"{SOME}0", "%00"])
async def test_id_that_is_none_is_refused_before_any_connection(reads: Reads, user: str):
    answer = await reads.get(f"{user}/recommendations")
    assert (answer.status_code, answer.json()["field"]) == (400, "id")
    assert reads.proxy.connections == 0


@pytest.mark.parametrize(
    ("edge", "status"),
    [
        ("0001-01-01T00:00:00+14:00", 400),
        ("9999-12-31T23:59:59-12:00", 400),
        ("0001-01-01T00:00:00Z", 200),
        ("9999-12-31T23:59:59.999999Z", 200),
    ],
)
async def test_time_at_the_end_of_all_times_is_no_trouble(
    reads: Reads, connection: Connection, edge: str, status: int
):
    answer = await reads.get(f"{await store(connection)}/recommendations", since=edge)
    assert answer.status_code == status


@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": "Bearer erases"}, {"Authorization": "reads"}],
    ids=["none", "another door's", "bare"],
)
async def test_without_a_token_nothing_is_looked_at(reads: Reads, headers: dict[str, str]):
    for path in (f"{SOME}/recommendations", "x/recommendations?limit=0"):
        answer = await reads.http.get(f"/api/users/{path}", headers=headers)
        assert (answer.status_code, answer.json()) == (401, {"error": "unauthorized"})
    assert reads.proxy.connections == 0


@pytest.mark.usefixtures("posts")
async def test_user_who_does_not_exist_is_not_found(reads: Reads):
    answer = await reads.get(f"{SOME}/recommendations")
    assert answer.status_code == 404
    assert answer.json() == {"error": "not found", "reason": "no such user"}


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_other_methods_do_nothing(reads: Reads, method: str):
    path = f"/api/users/{SOME}/recommendations"
    answer = await reads.http.request(method, path, headers=API)
    assert answer.status_code == 405
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD"}
    assert reads.proxy.connections == 0


async def test_without_postgres_it_is_unavailable_for_now(reads: Reads):
    environ = dict(reads.environ) | {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing"}
    async with client(environ) as http:
        answer = await http.get(f"/api/users/{SOME}/recommendations", headers=API)
    assert (answer.status_code, answer.json()) == (503, {"error": "unavailable"})
    assert answer.headers["Retry-After"] == "60"


@pytest.mark.usefixtures("posts")
async def test_redis_is_not_asked_for_anything(reads: Reads, connection: Connection):
    environ = dict(reads.environ) | {"UPSTASH_REDIS_REST_URL": "http://127.0.0.1:1"}
    user = await store(connection)
    async with client(environ) as http:
        answer = await http.get(f"/api/users/{user}/recommendations", headers=API)
    assert len(answer.json()["posts"]) == 20


@pytest.mark.usefixtures("posts")
async def test_answer_is_logged_by_its_name_and_without_what_it_holds(
    reads: Reads, connection: Connection, caplog: pytest.LogCaptureFixture
):
    user = await store(connection)
    answer = await ask(reads, user)
    [event] = events(caplog, "recommended")
    assert event.pop("ms") >= 0
    assert event == {
        "event": "recommended",
        "rec_id": answer["rec_id"],
        "user": str(user),
        "personal": True,
        "posts": 20,
    }
