"""Similar users: the same as a slow search finds, whatever there is to search in."""

import json
from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from random import Random
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import numpy as np
import pytest
from asyncpg import Connection
from hypothesis import given
from hypothesis import strategies as st

from dev.postgres import Postgres
from dev.stack import ROOT
from lib.embedding import BASELINE, Histories, calculate_similarity
from lib.recommend.services import Readers
from lib.recommend.similar import find_similar_users, in_common
from lib.store.erasures import erase, opt_out
from tests.conftest import Start, trigger
from tests.embedding.histories import POSTS
from tests.promises import Row, actions_by_user, rows
from tests.reads.conftest import Reads, store, unit
from tests.reference import contributions, recent
from tests.scene import MODEL, act, build

ON_PLATFORMS = ["tables", "views"]
COPIES = "SELECT count(*) FROM embedding.user_neighbours"
LONG_AGO = datetime.now(UTC) - timedelta(days=91)


@pytest.fixture(params=["exact", "copy"])
async def searched(request: pytest.FixtureRequest, postgres: Postgres, database_url: str) -> str:
    """How users are searched for: one by one, or in an indexed copy, which is made of nobody."""
    if request.param == "copy":
        await postgres.apply(urlsplit(database_url).path[1:], ROOT / "db" / "similar.sql")
    return request.param


def slow_search(stored: Mapping[UUID, Row], user: UUID, limit: int) -> list[tuple[UUID, float]]:
    """Return the nearest users by comparing with each, one after the other."""
    own = stored[user]
    near = [
        (other, calculate_similarity(own.embedding, row.embedding))
        for other, row in stored.items()
        if other != user and row.model_version == own.model_version
    ]
    return sorted(near, key=lambda one: (-one[1], one[0]))[:limit]


async def slow_shared(connection: Connection, user: UUID, other: UUID) -> set[UUID]:
    """Return the posts that both acted on positively in 90 days, and that are still there."""
    log, now = await actions_by_user(connection), datetime.now(UTC)
    there = {row["id"] for row in await connection.fetch("SELECT id FROM posts")}
    own, others = (
        {post for post, away in contributions(recent(log[one], now), now, BASELINE) if not away}
        for one in (user, other)
    )
    return own & others & there


@pytest.mark.parametrize("limit", [1, 10, 100])
async def test_similar_users_are_those_that_a_slow_search_finds(
    start: Start, reads: Reads, connection: Connection, searched: str, limit: int
):
    scene = await build(connection, users=60)
    for user in scene.users[:40]:
        for post in scene.posts[:6]:
            await act(connection, user, post)
    await act(connection, scene.users[0], scene.posts[30], at=LONG_AGO)
    stack = await start()
    await trigger(stack)
    await stack.broker.drain()
    await connection.execute("DELETE FROM posts WHERE id = $1", scene.posts[0])
    stored = await rows(connection)
    for user in scene.users[:3]:
        answer = await reads.get(f"{user}/similar", limit=str(limit))
        body = answer.json()
        assert (answer.status_code, set(body)) == (
            200,
            {"user_id", "model_version", "model", "scheme", "mean", "users"},
        )
        assert (body["user_id"], body["model"]) == (str(user), MODEL)
        expected = slow_search(stored, user, limit)
        assert [UUID(one["user_id"]) for one in body["users"]] == [other for other, _ in expected]
        for one, (other, similarity) in zip(body["users"], expected, strict=True):
            assert one["similarity"] == pytest.approx(similarity, abs=1e-6)
            shared = await slow_shared(connection, user, other)
            assert one["shared"]["count"] == len(shared)
            assert len(one["shared"]["posts"]) == min(len(shared), 10)
            assert {UUID(post) for post in one["shared"]["posts"]} <= shared
    if searched == "copy":
        assert await connection.fetchval(COPIES) == len(stored)


async def test_vectors_are_compared_with_those_alone_that_were_made_in_the_same_way(
    reads: Reads, connection: Connection, searched: str
):
    labels = [MODEL, "another", f"{MODEL}/centred@1#1", f"{MODEL}/centred@1#2", f"{MODEL}/decay@1"]
    made = {label: [await store(connection, 1, None, label) for _ in range(3)] for label in labels}
    for label, users in made.items():
        body = (await reads.get(f"{users[0]}/similar")).json()
        assert body["model_version"] == label
        assert {one["user_id"] for one in body["users"]} == set(map(str, users[1:])), searched


async def test_who_is_erased_or_opts_out_shows_in_nobody_s_answer(
    reads: Reads, connection: Connection, searched: str
):
    users = [await store(connection) for _ in range(5)]
    asking, erased, opted_out, deleted, left = users
    await erase(connection, erased)
    await opt_out(connection, opted_out)
    await connection.execute("DELETE FROM users WHERE id = $1", deleted)
    body = (await reads.get(f"{asking}/similar")).json()
    assert [one["user_id"] for one in body["users"]] == [str(left)], searched
    for gone, reason in (
        (erased, "not enough yet"),
        (opted_out, "opted out"),
        (deleted, "no such user"),
    ):
        answer = await reads.get(f"{gone}/similar")
        assert (answer.status_code, answer.json()["reason"]) == (404, reason)


async def test_copy_that_has_too_few_is_made_up_for_by_looking_at_all(
    reads: Reads, connection: Connection, postgres: Postgres, database_url: str
):
    users = [await store(connection, seed) for seed in range(5)]
    await postgres.apply(urlsplit(database_url).path[1:], ROOT / "db" / "similar.sql")
    users += [await store(connection, seed) for seed in range(5, 15)]
    assert await connection.fetchval(COPIES) == 5
    expected = slow_search(await rows(connection), users[0], 10)
    body = (await reads.get(f"{users[0]}/similar")).json()
    assert [UUID(one["user_id"]) for one in body["users"]] == [user for user, _ in expected]


async def test_what_an_erased_user_did_before_is_shared_with_nobody(
    reads: Reads, connection: Connection
):
    scene = await build(connection, users=2)
    asking, erased = scene.users
    for user in scene.users:
        await act(connection, user, scene.posts[0])
    await erase(connection, erased)
    await act(connection, erased, scene.posts[1])
    await act(connection, asking, scene.posts[1])
    for user in scene.users:
        await store(connection, 1, user)
    [one] = (await reads.get(f"{asking}/similar")).json()["users"]
    assert one["shared"] == {"count": 1, "posts": [str(scene.posts[1])]}


async def test_shared_posts_are_those_liked_and_not_taken_back_or_hidden(
    reads: Reads, connection: Connection
):
    scene = await build(connection, users=0)
    user, other = await store(connection), await store(connection, 2)
    kept, viewed, taken_back, hidden, old, alone = scene.posts[:6]
    for one in (user, other):
        await act(connection, one, kept, "share_post")
        await act(connection, one, viewed, "view_post")
        await act(connection, one, taken_back, "like_post")
        await act(connection, one, hidden, "hide_post")
        await act(connection, one, old, "like_post", LONG_AGO)
    await act(connection, other, taken_back, "unlike_post")
    await act(connection, other, alone)
    [one] = (await reads.get(f"{user}/similar")).json()["users"]
    assert one["shared"] == {"count": 2, "posts": [str(kept), str(viewed)]}


@pytest.mark.parametrize("way", ["similar", "similarity/{}"])
async def test_database_that_is_down_may_be_asked_again(
    reads: Reads, connection: Connection, way: str
):
    user = await store(connection)
    reads.proxy.refuse = True
    answer = await reads.get(f"{user}/{way.format(user)}")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "60")


# What two have in common

histories = st.lists(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 4)), max_size=8), min_size=1, max_size=4
)


@given(histories, st.sets(st.integers(0, 5)))
def test_posts_in_common_are_those_that_both_have_and_that_count(
    did: list[list[tuple[int, int]]], gone: set[int]
):
    packed = [
        b"".join(
            POSTS[post] + place.to_bytes(2) + np.array([1.0], ">f8").tobytes() + bytes(8)
            for post, place in user
        )
        for user in did
    ]
    made = Histories.unpack(packed, BASELINE, 0)
    own = [post.tobytes() for post in made.posts[: made.offsets[1]]]
    found = in_common(made, np.array([POSTS.index(post) not in gone for post in own], dtype=bool))
    weights = list(BASELINE.weights.values())
    totals: list[dict[int, float]] = []
    for user in did:
        total: dict[int, float] = defaultdict(float)
        for post, place in user:
            total[post] += weights[place]
        totals.append(total)
    for total, both in zip(totals[1:], found, strict=True):
        shared = set(total) & (set(totals[0]) - gone)
        expected = sorted(
            shared, key=lambda post, total=total: (-min(total[post], totals[0][post]), POSTS[post])
        )
        assert [POSTS.index(post.tobytes()) for post in both] == expected


# Two users


async def test_similarity_is_the_cosine(reads: Reads, connection: Connection):
    user, other = await store(connection, 1), await store(connection, 2)
    answer = await reads.get(f"{user}/similarity/{other}")
    body = answer.json()
    assert answer.status_code == 200
    assert body.pop("similarity") == pytest.approx(calculate_similarity(unit(1), unit(2)), abs=1e-9)
    assert body == {
        "user_id": str(user),
        "other_id": str(other),
        "comparable": True,
        "reason": None,
    }
    same = (await reads.get(f"{user}/similarity/{user}")).json()
    assert same["similarity"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("left", "right", "reason"),
    [
        ("m", "n", "different models"),
        ("m", "m/decay@1", "different schemes"),
        ("m/centred@1#1", "m/centred@2#1", "different schemes"),
        ("m/centred@1#1", "m/centred@1#2", "different means"),
        ("m/centred@1#1", "n/decay@1", "different models"),
    ],
)
async def test_vectors_made_in_different_ways_are_not_comparable(
    reads: Reads, connection: Connection, *, left: str, right: str, reason: str
):
    user, other = await store(connection, 1, None, left), await store(connection, 1, None, right)
    for path in (f"{user}/similarity/{other}", f"{other}/similarity/{user}"):
        body = (await reads.get(path)).json()
        assert (body["similarity"], body["comparable"]) == (None, False)
        assert body["reason"] == reason


async def test_vector_of_zeros_is_not_comparable(reads: Reads, connection: Connection):
    user, zeros = await store(connection), await store(connection, np.zeros(384, np.float32))
    body = (await reads.get(f"{user}/similarity/{zeros}")).json()
    assert (body["similarity"], body["comparable"]) == (None, False)
    answer = await reads.get(f"{zeros}/similar")
    assert [one["similarity"] for one in answer.json()["users"]] == [0]


async def test_comparison_with_who_has_no_vector_says_who_and_why(
    reads: Reads, connection: Connection
):
    user, opted_out = await store(connection), await store(connection)
    await opt_out(connection, opted_out)
    for path, reason in (
        (f"{uuid4()}/similarity/{user}", "id: no such user"),
        (f"{user}/similarity/{uuid4()}", "other: no such user"),
        (f"{user}/similarity/{opted_out}", "other: opted out"),
    ):
        answer = await reads.get(path)
        assert answer.status_code == 404
        assert json.loads(answer.content) == {"error": "not found", "reason": reason}


async def test_similar_users_can_be_found_from_python(readers: Readers, connection: Connection):
    seeds = Random(1)
    users = [await store(connection, seeds.randrange(99)) for _ in range(12)]
    found = await find_similar_users(readers, users[0])
    expected = slow_search(await rows(connection), users[0], 10)
    assert [one.user for one in found.users] == [user for user, _ in expected]
