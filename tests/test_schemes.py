"""Runs under each shipped scheme, and under several at once: an experiment."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import pytest
from asyncpg import Connection, Record
from valkey.asyncio import Valkey as Redis

from dev import qstash
from dev.proxy import Proxy
from dev.stack import Stack
from lib.embedding.interests import CONSIDERED
from lib.embedding.schemes import BASELINE, RECOMMENDED, SCHEMES, Scheme
from lib.experiment import Experiment
from tests.conftest import Start, trigger
from tests.promises import (
    actions_by_user,
    assert_converged,
    assert_interests,
    assert_mirrored,
    mean_of,
    open_work,
    rows,
    usable_embeddings,
)
from tests.reference import contributions, cosine, interest_vector, recent
from tests.scene import ACT, MODEL, act, build, embed
from tests.test_shadow import EVERYBODY, redeploy
from tests.web.conftest import PROCESS, SETTINGS, application

ON_PLATFORMS = ["tables", "views"]

OF_EACH = 20
TOPICS = ("share_post", "bookmark_post", "like_post")
"""What a reader of three topics did with the posts of each."""

EXPERIMENT = "tastes:baseline=50,recommended=50"

each_scheme = pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: scheme.label)
each_lasting_scheme = pytest.mark.parametrize(
    "scheme",
    [scheme for scheme in SCHEMES if scheme.half_life == np.inf],
    ids=lambda scheme: scheme.label,
)


async def run(stack: Stack) -> None:
    await trigger(stack)
    assert {delivery.status for delivery in await stack.broker.drain()} == {200}


async def add_reader(connection: Connection) -> UUID:
    """Add a user to whom 20 posts on each of three topics matter, no two topics as much."""
    draw = np.random.default_rng(5)
    user = await connection.fetchval("INSERT INTO users DEFAULT VALUES RETURNING id")
    now = datetime.now(UTC)
    for kind, direction in zip(TOPICS, draw.normal(size=(len(TOPICS), 384)), strict=True):
        posts = [uuid4() for _ in range(OF_EACH)]
        await connection.executemany("INSERT INTO posts (id) VALUES ($1)", [(p,) for p in posts])
        for place, post in enumerate(posts):
            await embed(connection, post, direction + 0.3 * draw.normal(size=384))
            await act(connection, user, post, kind, now - timedelta(days=1 + place % 5))
    return user


async def dislike_and_repeat(connection: Connection, users: Sequence[UUID]) -> None:
    """Let every user push their first post away, and see their second five times in an hour."""
    now = datetime.now(UTC)
    for user in users:
        posts = await connection.fetch(
            "SELECT DISTINCT post_id FROM action_log WHERE user_id = $1 ORDER BY post_id LIMIT 2",
            user,
        )
        await act(connection, user, posts[0]["post_id"], "hide_post", now - timedelta(hours=3))
        views = [
            (user, posts[-1]["post_id"], "view_post", now - timedelta(days=2, minutes=12 * n))
            for n in range(5)
        ]
        await connection.executemany(ACT, views)


async def table(connection: Connection, name: str, order: str) -> list[Record]:
    return await connection.fetch(f"SELECT * FROM {name} ORDER BY {order}")  # noqa: S608  # ours


async def everything(connection: Connection) -> Mapping[str, Any]:
    """Return all that a scheme stores, without when."""
    held = await table(connection, "user_embeddings", "user_id")
    interests = await table(connection, "embedding.user_interests", "user_id, place")
    return {
        "vectors": [(r["user_id"], r["embedding"].to_list(), r["model_version"]) for r in held],
        "offsets": await table(connection, "embedding.user_offsets", "user_id"),
        "interests": [
            (*tuple(r)[:-1], r["embedding"] and r["embedding"].to_list()) for r in interests
        ],
    }


# One scheme


@each_scheme
async def test_run_makes_what_the_scheme_says_of_everybody(
    start: Start, connection: Connection, redis: Redis, scheme: Scheme
):
    scene = await build(connection, users=30)
    await dislike_and_repeat(connection, scene.users)
    reader = await add_reader(connection)
    await run(await start({"EMBEDDING_SCHEME": scheme.name, "PAGE_SIZE": "7"}))
    users = (*scene.users, reader)
    assert await assert_converged(connection, redis, users, scheme) > 20
    interests = await table(connection, "embedding.user_interests", "user_id, place")
    parts = Counter(row["user_id"] for row in interests)
    assert parts[reader] == (len(TOPICS) if scheme.interests else 0)
    assert set(parts.values()) == ({1, len(TOPICS)} if scheme.interests else set())


@each_scheme
async def test_label_says_how_the_vector_was_made(
    start: Start, connection: Connection, scheme: Scheme
):
    await build(connection, users=10)
    await run(await start({"EMBEDDING_SCHEME": scheme.label}))
    labels = {row.model_version for row in (await rows(connection)).values()}
    assert labels == {
        MODEL
        if scheme == BASELINE
        else f"{MODEL}/{scheme.name}@{scheme.version}{'#1' if scheme.centred else ''}"
    }


async def test_interests_are_the_topics_in_the_order_of_what_they_weigh(
    start: Start, connection: Connection
):
    await build(connection, users=10)
    reader = await add_reader(connection)
    await run(await start({"EMBEDDING_SCHEME": "recommended"}))
    found = [
        row
        for row in await table(connection, "embedding.user_interests", "place")
        if row["user_id"] == reader
    ]
    kinds = {
        action.post_id: action.action_type for action in (await actions_by_user(connection))[reader]
    }
    assert [kinds[row["medoid"]] for row in found] == list(TOPICS)
    worth = sorted(
        (RECOMMENDED.weights[kind] * 0.5 ** ((1 + place % 5) / 90), kind)
        for kind in TOPICS
        for place in range(OF_EACH)
    )
    considered = worth[-CONSIDERED:]
    total = sum(weight for weight, _ in considered)
    assert [row["share"] for row in found] == pytest.approx(
        [sum(weight for weight, kind in considered if kind == topic) / total for topic in TOPICS]
    )


@each_lasting_scheme
async def test_two_runs_store_the_same_whatever_the_size_of_their_pages(
    start: Start, connection: Connection, scheme: Scheme
):
    scene = await build(connection, users=30)
    await dislike_and_repeat(connection, scene.users)
    await add_reader(connection)
    stack = await start({"EMBEDDING_SCHEME": scheme.name})
    await run(stack)
    first = await everything(connection)
    redeploy(stack, {"PAGE_SIZE": "4", "PARALLEL_CHAINS": "3"})
    await connection.execute(EVERYBODY)
    await run(stack)
    assert await everything(connection) == first


async def test_two_runs_find_the_same_interests(start: Start, connection: Connection):
    """But for what has decayed in between."""
    await build(connection, users=30)
    await add_reader(connection)
    stack = await start({"EMBEDDING_SCHEME": "recommended"})
    await run(stack)
    first = await everything(connection)
    redeploy(stack, {"PAGE_SIZE": "4", "PARALLEL_CHAINS": "3"})
    await connection.execute(EVERYBODY)
    await run(stack)
    second = await everything(connection)
    for one, other in zip(first["interests"], second["interests"], strict=True):
        user, place, share, medoid, centre, vector = one
        assert other[:2] == (user, place)
        assert other[3] == medoid
        assert (other[2], other[4]) == pytest.approx((share, centre), abs=1e-5)
        assert (other[5] is None) == (vector is None)
        np.testing.assert_allclose(other[5] or [], vector or [], atol=1e-5)


async def test_user_with_too_few_posts_left_loses_what_the_scheme_kept(
    start: Start, connection: Connection, redis: Redis
):
    scene = await build(connection, users=10)
    user = await connection.fetchval("INSERT INTO users DEFAULT VALUES RETURNING id")
    for post in scene.posts[:3]:
        await act(connection, user, post)
    stack = await start({"EMBEDDING_SCHEME": "recommended"})
    await run(stack)
    assert user in await rows(connection)
    for post in scene.posts[:3]:
        await act(connection, user, post, "unlike_post")
    await run(stack)
    await assert_converged(connection, redis, (*scene.users, user), RECOMMENDED)
    assert user not in await rows(connection)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("EMBEDDING_SCHEME", "favourite"),
        ("EMBEDDING_SCHEME", "decay@2"),
        ("EMBEDDING_SHADOW", "favourite"),
        ("EMBEDDING_EXPERIMENT", "t:baseline=1,favourite=1"),
        ("EMBEDDING_EXPERIMENT", "t:decay@1=1,decay@2=1"),
    ],
)
def test_scheme_that_is_not_shipped_ends_the_start_with_one_line_that_names_the_setting(
    name: str, value: str
):
    with pytest.raises(SystemExit) as ended:
        application(PROCESS, SETTINGS | {name: value})
    said = str(ended.value.code)
    assert said.startswith(f"user-embeddings: {name}: expected one of baseline@1, ")
    assert len(said.splitlines()) == 1


# Several at once


async def exposures(connection: Connection) -> dict[UUID, Record]:
    found = await table(connection, "embedding.exposures", "user_id")
    return {row["user_id"]: row for row in found}


async def assert_dealt(connection: Connection, redis: Redis, text: str) -> dict[UUID, Scheme]:
    """Hold P1 for everybody, each by the scheme of their arm, in Postgres and in Redis."""
    experiment = Experiment.parse(text)
    named = {scheme.name: scheme for scheme in SCHEMES}
    stored, log = await rows(connection), await actions_by_user(connection)
    embeddings = await usable_embeddings(connection)
    posts: dict[UUID, set[UUID]] = {}
    for user, actions in log.items():
        scheme = named[experiment.arm_of(user)]
        label, mean = await mean_of(connection, scheme)
        now = stored[user].generated_at if user in stored else datetime.now(UTC)
        wanted = interest_vector(actions, embeddings, now, scheme, mean=mean)
        assert (user in stored) == (wanted is not None)
        if wanted is not None:
            assert stored[user].model_version == label
            assert cosine(stored[user].embedding, wanted) >= 0.999999
            made_of = contributions(recent(actions, now), now, scheme)
            posts[user] = {post for post, away in made_of if not away}
    schemes = {user: named[experiment.arm_of(user)] for user in stored}
    offsets = await table(connection, "embedding.user_offsets", "user_id")
    assert [row["user_id"] for row in offsets] == [u for u in sorted(schemes) if schemes[u].centred]
    recommended = {user: posts[user] for user in stored if schemes[user].interests}
    _, mean = await mean_of(connection, RECOMMENDED)
    await assert_interests(connection, stored, recommended, RECOMMENDED, mean)
    await assert_mirrored(connection, redis)
    return schemes


async def test_every_user_gets_the_scheme_of_their_arm_in_the_same_page(
    start: Start, connection: Connection, redis: Redis
):
    await build(connection)
    await run(await start({"EMBEDDING_EXPERIMENT": EXPERIMENT}))
    schemes = await assert_dealt(connection, redis, EXPERIMENT)
    shared = Counter(scheme.name for scheme in schemes.values())
    assert min(shared["baseline"], shared["recommended"]) > 10
    found, stored = await exposures(connection), await rows(connection)
    assert {user: row["scheme"] for user, row in found.items()} == {
        user: scheme.label for user, scheme in schemes.items()
    }
    for user, row in found.items():
        assert (row["experiment"], row["since"]) == ("tastes", stored[user].generated_at)


async def test_first_exposure_stays_whatever_comes_later(
    start: Start, connection: Connection, redis: Redis
):
    """Another run, and other shares that give some users another scheme."""
    await build(connection)
    stack = await start({"EMBEDDING_EXPERIMENT": EXPERIMENT})
    await run(stack)
    first, before = await exposures(connection), await rows(connection)
    await connection.execute(EVERYBODY)
    await run(stack)
    assert await exposures(connection) == first
    skewed = "tastes:baseline=1,recommended=50"
    redeploy(stack, {"EMBEDDING_EXPERIMENT": skewed})
    await connection.execute(EVERYBODY)
    await run(stack)
    assert await exposures(connection) == first
    await assert_dealt(connection, redis, skewed)
    after = await rows(connection)
    moved = [user for user in after if after[user].model_version != before[user].model_version]
    assert len(moved) > 5
    await connection.execute(EVERYBODY)
    redeploy(stack, {"EMBEDDING_EXPERIMENT": EXPERIMENT.replace("tastes", "others")})
    await run(stack)
    again = await table(connection, "embedding.exposures", "user_id")
    assert Counter(row["experiment"] for row in again) == {
        "tastes": len(first),
        "others": len(first),
    }


UNEXPOSED = """
SELECT
  (SELECT count(*) FROM user_embeddings WHERE user_id NOT IN (
    SELECT user_id FROM embedding.exposures
  )),
  (SELECT count(*) FROM embedding.exposures WHERE user_id NOT IN (
    SELECT user_id FROM user_embeddings
  )),
  (SELECT count(*) FROM user_embeddings WHERE model_version LIKE '%#%' AND (
    user_id NOT IN (SELECT user_id FROM embedding.user_offsets)
    OR user_id NOT IN (SELECT user_id FROM embedding.user_interests)
  )),
  (SELECT count(*) FROM user_embeddings)
"""


async def test_killed_before_each_statement_a_vector_is_never_without_what_belongs_to_it(
    start: Start, connection: Connection, redis: Redis, proxy: Proxy
):
    await build(connection)
    stack = await start({"EMBEDDING_EXPERIMENT": EXPERIMENT, "PAGE_SIZE": "6"}, proxy=proxy)
    writing, said, victim, kills = False, 0, 0, 0
    lacking: set[tuple[int, ...]] = set()
    totals: set[int] = set()

    async def kill_at_victim(kind: bytes, payload: bytes) -> None:
        nonlocal writing, said, kills
        if kind == b"P" and b"INSERT INTO user_embeddings" in payload:
            writing, said = True, 0
        if writing and kind in b"QE":
            said += 1
            if said == victim:
                kills += 1
                stack.functions.kill()
                raise ConnectionResetError

    async def next_victim(delivery: qstash.Delivery) -> None:
        nonlocal writing, victim
        # the n-th page dies at the n-th statement after a write has begun, and its retry lives
        writing, victim = False, len(succeeded) if delivery.status == 200 else 0
        if delivery.status == 200:
            succeeded.append(delivery)
        *found, total = await connection.fetchrow(UNEXPOSED)
        lacking.add(tuple(found))
        totals.add(total)

    succeeded: list[qstash.Delivery] = []
    proxy.on_message = kill_at_victim
    stack.broker.on_delivered = next_victim
    await trigger(stack)
    await stack.broker.drain()
    assert kills >= 8, "so many statements write what is made by two schemes"
    assert lacking == {(0, 0, 0)}
    assert len(totals) > 5
    assert stack.broker.dead_letters == []
    await assert_dealt(connection, redis, EXPERIMENT)
    assert await open_work(connection) == (0, 0)
