"""Another scheme beside the live one: in its shadow, then in its place, and back."""

import asyncio
from collections.abc import Mapping
from uuid import UUID

import numpy as np
import pytest
from asyncpg import Connection, Record
from valkey.asyncio import Valkey as Redis

from dev.stack import Stack
from lib.commands import shadow
from lib.embedding.schemes import RECOMMENDED
from lib.store.shadows import drop_shadows
from tests.conftest import Start, trigger
from tests.promises import (
    Row,
    actions_by_user,
    assert_converged,
    assert_mirrored,
    rows,
    usable_embeddings,
)
from tests.reference import cosine, interest_vector
from tests.scene import MODEL, act, build, embed

ON_PLATFORMS = ["tables", "views"]

LABEL = f"{MODEL}/recommended@1#1"
EVERYBODY = "INSERT INTO embedding.due SELECT id, 'rebuild' FROM users ON CONFLICT DO NOTHING"
ONLY_DUE = {"WINDOW_OVERLAP_SECONDS": "0"}
OTHER = "another-model"


def redeploy(stack: Stack, settings: Mapping[str, str]) -> None:
    """Let the next request meet a new instance that has these settings, too."""
    environ = stack.environ
    assert isinstance(environ, dict)
    environ |= settings
    stack.functions.kill()


async def run(stack: Stack) -> None:
    await trigger(stack)
    assert {delivery.status for delivery in await stack.broker.drain()} == {200}


async def run_everybody(stack: Stack, connection: Connection) -> None:
    await connection.execute(EVERYBODY)
    await run(stack)


async def shadows(connection: Connection) -> dict[UUID, Record]:
    found = await connection.fetch("SELECT * FROM embedding.shadow_vectors")
    return {row["user_id"]: row for row in found}


async def vectors(connection: Connection) -> dict[UUID, tuple[list[float], str]]:
    found = await rows(connection)
    return {user: (row.embedding, row.model_version) for user, row in found.items()}


def assert_same(row: Row, held: Record) -> None:
    """Hold that the vectors are the same but for the seconds in between, which decay."""
    assert row.model_version == held["model_version"]
    np.testing.assert_allclose(row.embedding, held["embedding"].to_list(), atol=1e-5)


async def test_live_vectors_are_what_they_are_without_a_shadow(
    start: Start, connection: Connection, redis: Redis
):
    scene = await build(connection, users=30)
    stack = await start()
    await run(stack)
    without = await vectors(connection)
    assert await shadows(connection) == {}
    redeploy(stack, {"EMBEDDING_SHADOW": "recommended"})
    await run_everybody(stack, connection)
    assert await vectors(connection) == without
    assert set(await shadows(connection)) == set(without)
    await assert_converged(connection, redis, scene.users)


async def test_shadow_is_what_the_live_vector_would_be_and_knows_how_near_it_is(
    start: Start, connection: Connection
):
    await build(connection, users=30)
    stack = await start({"EMBEDDING_SHADOW": "recommended", "PAGE_SIZE": "7"})
    await run(stack)
    live, shadow_rows = await rows(connection), await shadows(connection)
    assert set(shadow_rows) == set(live)
    for user, row in shadow_rows.items():
        wanted = cosine(row["embedding"].to_list(), live[user].embedding)
        assert row["similarity"] == pytest.approx(wanted, abs=1e-5)
        assert row["generated_at"] >= live[user].generated_at
    assert min(row["similarity"] for row in shadow_rows.values()) < 0.999
    assert {row["model_version"] for row in shadow_rows.values()} == {LABEL}
    redeploy(stack, {"EMBEDDING_SHADOW": "", "EMBEDDING_SCHEME": "recommended"})
    await run_everybody(stack, connection)
    under_recommended = await rows(connection)
    assert set(under_recommended) == set(shadow_rows)
    for user, row in under_recommended.items():
        assert_same(row, shadow_rows[user])


async def test_cutover_and_back_leave_what_each_scheme_keeps(
    start: Start, connection: Connection, redis: Redis
):
    scene = await build(connection, users=20)
    stack = await start({"EMBEDDING_SHADOW": "recommended"} | ONLY_DUE)
    await run(stack)
    before, one = await vectors(connection), scene.users[0]
    for post in scene.posts[:3]:
        await act(connection, one, post)
    redeploy(stack, {"EMBEDDING_SHADOW": "", "EMBEDDING_SCHEME": "recommended"})
    await run(stack)
    between = await vectors(connection)
    assert {user for user in between if between[user] != before.get(user)} == {one}, "who acted"
    assert between[one][1] == LABEL
    await run_everybody(stack, connection)
    assert await assert_converged(connection, redis, scene.users, RECOMMENDED) > 5
    redeploy(stack, {"EMBEDDING_SCHEME": "baseline"})
    await run_everybody(stack, connection)
    await assert_converged(connection, redis, scene.users)
    after = await vectors(connection)
    assert {user: after[user] for user in after if user != one} == {
        user: before[user] for user in before if user != one
    }
    assert await connection.fetchval("SELECT count(*) FROM embedding.user_offsets") == 0
    assert await connection.fetchval("SELECT count(*) FROM embedding.user_interests") == 0


async def test_user_whose_shadow_cannot_be_written_keeps_the_live_vector(
    start: Start, connection: Connection, redis: Redis
):
    scene = await build(connection, users=20)
    victim = scene.users[3]
    for post in scene.posts[:3]:
        await act(connection, victim, post)
    await connection.execute(
        f"ALTER TABLE embedding.shadow_vectors ADD CONSTRAINT poison CHECK (user_id <> '{victim}')"
    )
    await run(await start({"EMBEDDING_SHADOW": "recommended"}))
    await assert_converged(connection, redis, scene.users)
    live = await rows(connection)
    assert victim in live
    assert set(await shadows(connection)) == set(live) - {victim}
    assert await connection.fetchval("SELECT count(*) FROM embedding.failures") == 0


async def test_shadow_without_a_live_vector_is_near_to_nothing(
    start: Start, connection: Connection, redis: Redis
):
    """The posts cancel each other out until the mean of all is taken off."""
    scene = await build(connection, users=5)
    user = await connection.fetchval("INSERT INTO users DEFAULT VALUES RETURNING id")
    direction = np.random.default_rng(3).normal(size=384).astype(np.float32)
    for post, sign in zip(scene.posts, (1, -1, 1, -1), strict=False):
        await embed(connection, post, sign * direction)
        await act(connection, user, post)
    await run(await start({"EMBEDDING_SHADOW": "centred"}))
    held = (await shadows(connection))[user]
    assert held["similarity"] is None
    assert user not in await rows(connection)
    await assert_mirrored(connection, redis)


async def test_vectors_of_two_models_are_never_mixed(
    start: Start, connection: Connection, redis: Redis
):
    """Half of the posts have been embedded anew, by another model, and half of the users act."""
    scene = await build(connection, users=20)
    stack = await start({"EMBEDDING_SCHEME": "centred"} | ONLY_DUE)
    await run(stack)
    before = await rows(connection)
    acting, idle = scene.users[:10], set(scene.users[10:])
    anew = np.random.default_rng(9).normal(size=(20, 384)).astype(np.float32) + 1
    for post, vector in zip(scene.posts[:20], anew, strict=True):
        await embed(connection, post, vector, OTHER)
    for user in acting:
        for post in scene.posts[18:23]:
            await act(connection, user, post)
    redeploy(stack, {"MODEL_VERSION": OTHER})
    await run(stack)
    after, log = await rows(connection), await actions_by_user(connection)
    number, mean = await connection.fetchrow(
        "SELECT id, vector FROM embedding.means WHERE model = $1", OTHER
    )
    np.testing.assert_allclose(mean.to_numpy(), anew.mean(axis=0), atol=1e-6)
    embeddings = dict(zip(scene.posts[:20], anew.tolist(), strict=True))
    made = 0
    for user in acting:
        now = await connection.fetchval("SELECT clock_timestamp()")
        wanted = interest_vector(log[user], embeddings, now, mean=mean.to_list())
        if wanted is None:
            assert after.get(user) == before.get(user)
            continue
        made += 1
        assert after[user].model_version == f"{OTHER}/centred@1#{number}"
        assert cosine(after[user].embedding, wanted) >= 0.999999
    assert made > 0
    assert {user: after.get(user) for user in idle} == {user: before.get(user) for user in idle}
    assert set(await usable_embeddings(connection)) == set(scene.posts[20:])
    await assert_mirrored(connection, redis)


# The commands


async def test_compare_prints_each_label_and_who_has_none_yet(
    start: Start, connection: Connection, capsys: pytest.CaptureFixture[str]
):
    scene = await build(connection, users=20)
    stack = await start(ONLY_DUE)
    await run(stack)
    live = len(await rows(connection))
    assert await asyncio.to_thread(shadow.compare, stack.environ) == 0
    said = capsys.readouterr().out
    assert said.splitlines() == [
        "there are no shadow vectors: EMBEDDING_SHADOW has them made, run by run",
        f"{live} live vectors have no shadow yet",
    ]
    for label in ("decay", "recommended"):
        redeploy(stack, {"EMBEDDING_SHADOW": label})
        for post in scene.posts[:3]:
            await act(connection, scene.users[label == "decay"], post)
        await run(stack)
    live = len(await rows(connection))
    similarities = {
        row["model_version"]: row["similarity"] for row in (await shadows(connection)).values()
    }
    await asyncio.to_thread(shadow.compare, stack.environ)
    head, *lines, last = capsys.readouterr().out.splitlines()
    assert head.split() == ["users", "compared", "lowest", "a", "tenth", "median", "mean"]
    assert [line.split() for line in lines] == [
        [label, "1", "1", *[f"{similarities[label]:.4f}"] * 4]
        for label in (f"{MODEL}/decay@1", LABEL)
    ]
    assert last == f"{live - 2} live vectors have no shadow yet"


async def test_drop_leaves_no_shadow_and_every_live_vector(
    start: Start, connection: Connection, redis: Redis, capsys: pytest.CaptureFixture[str]
):
    scene = await build(connection, users=20)
    stack = await start({"EMBEDDING_SHADOW": "centred"})
    await run(stack)
    made = len(await shadows(connection))
    assert made > 5
    assert await asyncio.to_thread(shadow.drop, stack.environ) == 0
    assert capsys.readouterr().out == f"{made} shadow vectors dropped\n"
    assert await shadows(connection) == {}
    await assert_converged(connection, redis, scene.users)


async def test_shadows_are_dropped_in_steps(start: Start, connection: Connection):
    await build(connection, users=20)
    stack = await start({"EMBEDDING_SHADOW": "centred"})
    await run(stack)
    made, taken = len(await shadows(connection)), []
    while not taken or taken[-1] == 4:
        taken.append(await drop_shadows(connection, 4))
    assert taken == [4] * (made // 4) + [made % 4]
