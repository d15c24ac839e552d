"""The indexed copy: near enough to the exact answer, and never anybody who is gone."""

import asyncio
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import asyncpg
import numpy as np
import pytest
from numpy.typing import NDArray
from pgvector import Vector

from dev.postgres import Postgres
from dev.stack import ROOT
from lib.store import copies, neighbours
from lib.store.erasures import erase, opt_out
from lib.store.neighbours import Neighbour
from tests.scene import MODEL

ON_PLATFORMS = ["tables", "views"]
SIMILAR = ROOT / "db" / "similar.sql"
COPIES = "SELECT user_id, model_version FROM embedding.user_neighbours ORDER BY user_id"


@pytest.fixture
async def connection(
    own: asyncpg.Connection, postgres: Postgres, database_url: str
) -> asyncpg.Connection:
    """Lend a connection to a database of the test's own that has a copy, of nobody yet."""
    await postgres.apply(urlsplit(database_url).path[1:], SIMILAR)
    return own


def units(count: int, seed: int = 1, size: int = 384) -> NDArray[np.float32]:
    """Return vectors of length 1 that differ in their first `size` numbers."""
    made = np.zeros((count, 384))
    made[:, :size] = np.random.default_rng(seed).normal(size=(count, size))
    return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)


async def store(
    connection: asyncpg.Connection, vectors: NDArray[np.float32], model_version: str = MODEL
) -> list[UUID]:
    users = [uuid4() for _ in vectors]
    await connection.executemany("INSERT INTO users VALUES ($1)", [(user,) for user in users])
    await write(connection, users, vectors, model_version)
    return users


async def write(
    connection: asyncpg.Connection,
    users: list[UUID],
    vectors: NDArray[np.float32],
    model_version: str = MODEL,
) -> None:
    """Give the users these vectors, whichever they had."""
    await connection.executemany(
        "INSERT INTO user_embeddings (user_id, embedding, model_version) VALUES ($1, $2, $3)"
        " ON CONFLICT (user_id) DO UPDATE SET"
        " embedding = excluded.embedding, model_version = excluded.model_version",
        [(u, Vector(v), model_version) for u, v in zip(users, vectors, strict=True)],
    )


async def refresh(connection: asyncpg.Connection, limit: int = 500) -> int:
    """Copy all there is to copy; return how many changes that were."""
    copied = 0
    while taken := await copies.refresh(connection, limit):
        copied += taken
    return copied


async def search(
    connection: asyncpg.Connection, user: UUID, limit: int = 10
) -> tuple[list[Neighbour], list[Neighbour]]:
    """Return the nearest users as both searches find them."""
    async with connection.transaction():
        exact = await neighbours.nearest(connection, user, limit)
        # a small table would be read from end to end
        await connection.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off")
        return exact, await neighbours.nearest_copied(connection, user, limit)


async def test_copy_finds_nine_in_ten_of_the_nearest_among_vectors_at_random(
    connection: asyncpg.Connection,
):
    """At random in 24 directions: real vectors have about so many that matter."""
    users = await store(connection, units(3000, size=24))
    await refresh(connection)
    found = 0
    for user in users[:40]:
        exact, copied = await search(connection, user)
        assert len(copied) == 10
        assert copied == sorted(copied, key=lambda one: -one.similarity)
        similarities = {one.user: one.similarity for one in await everybody(connection, user)}
        assert all(one.similarity == similarities[one.user] for one in copied)
        found += len({one.user for one in exact} & {one.user for one in copied})
    assert found >= 0.9 * 400


async def everybody(connection: asyncpg.Connection, user: UUID) -> list[Neighbour]:
    async with connection.transaction():
        return await neighbours.nearest(connection, user, 10_000)


async def test_search_of_the_copy_uses_its_index(connection: asyncpg.Connection):
    users = await store(connection, units(3000, size=24))
    await refresh(connection)
    await connection.execute("ANALYZE")
    async with connection.transaction():
        await neighbours.find_operators(connection)
        plan = await connection.fetch(
            "EXPLAIN " + neighbours.NEAREST_COPIED, users[0], 10, neighbours.SPARE
        )
    assert "user_neighbours_embedding" in "\n".join(row[0] for row in plan)


async def test_users_of_another_kind_are_never_found_however_many_they_are(
    connection: asyncpg.Connection,
):
    """The copy may miss some of so few; whoever asks looks at all where too few are found."""
    rare = await store(connection, units(8, 2), f"{MODEL}/centred@1#1")
    await store(connection, units(1500, 1, 24))
    await refresh(connection)
    exact, copied = await search(connection, rare[0], 7)
    assert {one.user for one in exact} == set(rare[1:])
    assert {one.user for one in copied} <= set(rare[1:])


async def test_who_is_gone_or_has_moved_shows_as_is_whatever_the_copy_holds(
    connection: asyncpg.Connection,
):
    vectors = units(6)
    users = await store(connection, vectors)
    await refresh(connection)
    asking, moved, renamed, emptied, left, deleted = users
    await write(connection, [moved], vectors[:1])
    await write(connection, [renamed], vectors[2:3], "another")
    await connection.execute(
        "UPDATE user_embeddings SET embedding = NULL WHERE user_id=$1", emptied
    )
    await connection.execute("ALTER TABLE embedding.user_neighbours DISABLE TRIGGER ALL")
    await connection.execute("SET session_replication_role = replica")  # no cascade either
    await connection.execute("DELETE FROM user_embeddings WHERE user_id = $1", deleted)
    await connection.execute("SET session_replication_role = origin")
    assert len(await connection.fetch(COPIES)) == 6
    exact, copied = await search(connection, asking)
    assert [one.user for one in copied] == [moved, left]
    assert copied == exact
    assert copied[0].similarity == pytest.approx(1)


@pytest.mark.parametrize("forget", [erase, opt_out])
async def test_erasure_takes_the_copy_along_at_once(
    connection: asyncpg.Connection, forget: Callable[..., Awaitable[object]]
):
    users = await store(connection, units(3))
    await refresh(connection)
    await forget(connection, users[1])
    assert {row["user_id"] for row in await connection.fetch(COPIES)} == {users[0], users[2]}


async def test_refresh_copies_what_has_changed_slice_by_slice(connection: asyncpg.Connection):
    users = await store(connection, units(7))
    assert [await copies.refresh(connection, 3) for _ in range(4)] == [3, 3, 1, 0]
    assert {row["user_id"] for row in await connection.fetch(COPIES)} == set(users)
    await write(connection, users[:2], units(2, 9), "another")
    await connection.execute(
        "UPDATE user_embeddings SET embedding = NULL WHERE user_id=$1", users[2]
    )
    await connection.execute("DELETE FROM users WHERE id = $1", users[3])
    assert await refresh(connection) == 3
    held = {row["user_id"]: row["model_version"] for row in await connection.fetch(COPIES)}
    assert held == dict.fromkeys(users[:2], "another") | dict.fromkeys(users[4:], MODEL)
    stored = await connection.fetch("SELECT user_id, embedding::TEXT FROM user_embeddings")
    copied = await connection.fetch(
        "SELECT user_id, embedding::TEXT FROM embedding.user_neighbours"
    )
    assert set(copied) == {row for row in stored if row["embedding"]}


async def test_refresh_leaves_it_to_whoever_is_at_it_already(
    connection: asyncpg.Connection, database_url: str
):
    await store(connection, units(3))
    other = await asyncpg.connect(database_url)
    async with other.transaction():
        assert await other.fetchval(copies.TURN)
        assert await copies.refresh(connection, 500) == 0
    assert await copies.refresh(connection, 500) == 3
    await other.close()


async def test_refresh_waits_for_an_erasure_under_way_and_leaves_the_user_out(
    connection: asyncpg.Connection, owner_url: str
):
    users = await store(connection, units(3))
    other = await asyncpg.connect(owner_url)
    erasing = other.transaction()
    await erasing.start()
    await other.execute("DELETE FROM user_embeddings WHERE user_id = $1", users[1])
    refreshing = asyncio.create_task(copies.refresh(connection, 500))
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND pid <> $1"
    async with asyncio.timeout(20):
        while not await other.fetchval(waiting, other.get_server_pid()):  # noqa: ASYNC110  # what happens is in Postgres
            await asyncio.sleep(0.01)
    await erasing.commit()
    assert await refreshing == 3
    assert {row["user_id"] for row in await connection.fetch(COPIES)} == {users[0], users[2]}
    await other.close()


async def test_copy_can_be_made_of_whoever_is_there_and_made_again(
    own: asyncpg.Connection, postgres: Postgres, database_url: str
):
    users = await store(own, units(5))
    for _ in range(2):
        await postgres.apply(urlsplit(database_url).path[1:], SIMILAR)
        assert {row["user_id"] for row in await own.fetch(COPIES)} == set(users)
    await own.execute("DELETE FROM users WHERE id = $1", users[0])
    assert {row["user_id"] for row in await own.fetch(COPIES)} == set(users[1:])
    assert await refresh(own) == 0
