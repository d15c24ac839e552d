import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import numpy as np
import pytest
from numpy.typing import NDArray
from pgvector import Vector

from lib.embedding import DIMENSIONS
from lib.store.database import DATA_ERRORS
from lib.store.vectors import NewVectors, read_generated, read_stored, remove, upsert

A, B, C = (UUID(int=n) for n in range(1, 4))
OLD = datetime(2026, 1, 1, tzinfo=UTC)
NEW = OLD + timedelta(microseconds=1)


def unit(place: int) -> NDArray[np.float32]:
    vector = np.zeros(DIMENSIONS, dtype=np.float32)
    vector[place] = 1
    return vector


async def sign_up(connection: asyncpg.Connection, *users: UUID) -> None:
    await connection.executemany("INSERT INTO users (id) VALUES ($1)", [(user,) for user in users])


def new(
    vectors: Mapping[UUID, NDArray[np.float32]], at: datetime = OLD, model: str = "m"
) -> NewVectors:
    """Vectors of users none of whom was ever erased."""
    return NewVectors(
        list(vectors), np.array(list(vectors.values())), model, at, [None] * len(vectors)
    )


async def write(
    connection: asyncpg.Connection, user: UUID, place: int, at: datetime, model: str = "m"
) -> None:
    await upsert(connection, new({user: unit(place)}, at, model))


async def place_of(connection: asyncpg.Connection, user: UUID) -> int | None:
    """Return which unit vector a user has."""
    stored = {found.user: found for found in await read_stored(connection, [user])}
    return int(np.argmax(stored[user].embedding)) if user in stored else None


@pytest.mark.fault(2)
@pytest.mark.parametrize(
    ("order", "kept"),
    [
        ([OLD], 0),
        ([OLD, NEW], 1),
        ([NEW, OLD], 0),
        ([OLD, OLD], 1),
        ([OLD, NEW, OLD], 1),
        ([NEW, OLD, NEW], 2),
        ([NEW, OLD, OLD], 0),
    ],
    ids=lambda value: (
        " ".join({OLD: "old", NEW: "new"}[at] for at in value) if isinstance(value, list) else None
    ),
)
async def test_older_read_never_replaces_a_newer_one(
    connection: asyncpg.Connection, order: list[datetime], kept: int
):
    await sign_up(connection, A)
    for place, at in enumerate(order):
        await write(connection, A, place, at, f"m{place}")
    [row] = await connection.fetch("SELECT model_version, generated_at FROM user_embeddings")
    assert await place_of(connection, A) == kept
    assert tuple(row) == (f"m{kept}", max(order))
    assert await read_generated(connection, [A]) == {A: max(order)}


async def test_row_keeps_its_id_and_says_when_it_was_written(connection: asyncpg.Connection):
    await sign_up(connection, A)
    await write(connection, A, 0, OLD)
    first = await connection.fetchrow("SELECT * FROM user_embeddings")
    await write(connection, A, 1, NEW)
    second = await connection.fetchrow("SELECT * FROM user_embeddings")
    assert first is not None
    assert second is not None
    assert (second["id"], second["created_by"]) == (first["id"], None)
    assert second["updated_at"] > first["updated_at"] > NEW


@pytest.mark.parametrize(
    ("embedding", "generated_at"),
    [
        (None, OLD - timedelta(days=1)),
        (None, None),
        (Vector(unit(9)), None),
        (None, OLD + timedelta(days=1)),
    ],
    ids=["no vector", "neither", "no time", "no vector but a newer time"],
)
async def test_row_that_somebody_else_left_half_empty_is_healed(
    connection: asyncpg.Connection, embedding: Vector | None, generated_at: datetime | None
):
    await sign_up(connection, A)
    await connection.execute(
        "INSERT INTO user_embeddings (user_id, embedding, model_version, generated_at)"
        " VALUES ($1, $2, 'm', $3)",
        A,
        embedding,
        generated_at,
    )
    await write(connection, A, 1, OLD)
    assert await place_of(connection, A) == 1
    assert await read_generated(connection, [A]) == {A: OLD}


async def test_users_who_do_not_exist_are_skipped(connection: asyncpg.Connection):
    await sign_up(connection, A, C)
    written = await upsert(connection, new({A: unit(0), B: unit(1), C: unit(2)}))
    assert written.users == {A, C}
    assert {found.user for found in await read_stored(connection, [A, B, C])} == {A, C}
    assert await place_of(connection, C) == 2


async def test_nobody_s_vectors_are_written_and_removed(connection: asyncpg.Connection):
    assert (await upsert(connection, new({}))).users == set()
    await remove(connection, [], OLD)
    assert await read_stored(connection, []) == []


async def write_slice(
    connection: asyncpg.Connection, vectors: Mapping[UUID, NDArray[np.float32]], at: datetime
) -> None:
    """Write vectors of any length, as a page does: in one transaction."""
    async with connection.transaction():
        for user, vector in vectors.items():
            await upsert(connection, new({user: vector}, at))


@pytest.mark.parametrize(
    "poison",
    [
        np.full(DIMENSIONS, np.nan, dtype=np.float32),
        np.full(DIMENSIONS, np.inf, dtype=np.float32),
        np.ones(DIMENSIONS - 1, dtype=np.float32),
        np.ones(0, dtype=np.float32),
        unit(7),
    ],
    ids=["not a number", "infinite", "too short", "empty", "refused by a constraint"],
)
async def test_poisoned_row_is_a_data_error_and_nobody_is_written(
    connection: asyncpg.Connection, poison: NDArray[np.float32]
):
    await connection.execute(
        "CREATE FUNCTION poisoned(UUID, vector) RETURNS BOOLEAN IMMUTABLE RETURN"
        " $1 = '00000000-0000-0000-0000-000000000002' AND ($2::REAL[])[8] = 1;"
        " ALTER TABLE user_embeddings ADD CHECK (NOT poisoned(user_id, embedding))"
    )
    await sign_up(connection, A, B, C)
    await write(connection, A, 0, OLD)
    with pytest.raises(DATA_ERRORS):
        await write_slice(connection, {A: unit(1), B: poison, C: unit(2)}, NEW)
    assert await place_of(connection, A) == 0
    assert await read_generated(connection, [A, B, C]) == {A: OLD}


@pytest.mark.fault(12)
async def test_one_poisoned_row_of_a_batch_writes_nobody_of_it(own: asyncpg.Connection):
    await sign_up(own, A, B, C)
    poison = unit(1)
    poison[5] = np.nan
    with pytest.raises(DATA_ERRORS):
        await upsert(own, new({A: unit(0), B: poison, C: unit(2)}))
    assert await read_generated(own, [A, B, C]) == {}


@pytest.mark.parametrize(
    ("stored", "removed"), [(OLD, True), (NEW, False), (None, True)], ids=["older", "newer", "none"]
)
async def test_vector_is_removed_unless_a_newer_read_is_stored(
    connection: asyncpg.Connection,
    stored: datetime | None,
    removed: bool,  # noqa: FBT001  # a column of the table
):
    await sign_up(connection, A, B)
    for user in (A, B):
        await write(connection, user, 0, OLD)
    await connection.execute(
        "UPDATE user_embeddings SET generated_at = $2 WHERE user_id = $1", A, stored
    )
    await remove(connection, [A, C], OLD)
    assert await place_of(connection, A) == (None if removed else 0)
    assert await place_of(connection, B) == 0


async def test_vector_is_read_bit_for_bit_as_it_was_written(connection: asyncpg.Connection):
    await sign_up(connection, A)
    vector = np.random.default_rng(1).normal(size=DIMENSIONS).astype(np.float32)
    await upsert(connection, new({A: vector}))
    [found] = await read_stored(connection, [A, B])
    assert found.embedding.dtype == np.float32
    assert found.embedding.tobytes() == vector.tobytes()
    assert (found.user, found.generated_at) == (A, OLD)
    # the same by way of text, which is none of the driver's codecs
    text = await connection.fetchval("SELECT embedding::TEXT FROM user_embeddings")
    assert np.array(json.loads(text), dtype=np.float32).tobytes() == vector.tobytes()
