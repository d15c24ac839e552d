from uuid import UUID

import asyncpg
import numpy as np
from numpy.typing import NDArray
from pgvector import Vector

from lib.embedding import DIMENSIONS
from lib.store.posts import existing, read_embeddings
from tests.scene import embed

IDS = (0, 1, 1 << 64, 0x1200 << 96, 255 << 120, (1 << 128) - 1)


def posts(*numbers: int) -> NDArray[np.void]:
    return np.frombuffer(b"".join(UUID(int=n).bytes for n in sorted(numbers)), dtype="V16")


async def publish(connection: asyncpg.Connection, *numbers: int) -> None:
    await connection.executemany(
        "INSERT INTO posts (id) VALUES ($1)", [(UUID(int=n),) for n in numbers]
    )


async def test_embeddings_come_in_the_order_asked_for_and_bit_for_bit(
    connection: asyncpg.Connection,
):
    await publish(connection, *IDS)
    written = np.random.default_rng(1).normal(size=(len(IDS), DIMENSIONS)).astype(np.float32)
    for place in (3, 0, 5, 2, 4, 1):
        await embed(connection, UUID(int=IDS[place]), written[place])
    read, embedded = await read_embeddings(connection, posts(*IDS), "all-MiniLM-L6-v2")
    assert embedded.all()
    assert read.tobytes() == written.tobytes()


async def test_posts_without_an_embedding_of_the_model_are_zeros(connection: asyncpg.Connection):
    await publish(connection, 1, 2, 3)
    await embed(connection, UUID(int=1), np.ones(DIMENSIONS))
    await embed(connection, UUID(int=2), np.ones(DIMENSIONS), "another")
    await embed(connection, UUID(int=3), None)
    read, embedded = await read_embeddings(connection, posts(1, 2, 3, 4), "all-MiniLM-L6-v2")
    assert embedded.tolist() == [True, False, False, False]
    assert read[0].all()
    assert not read[1:].any()


async def test_embedding_of_another_length_is_there_and_of_no_use(connection: asyncpg.Connection):
    await connection.execute("ALTER TABLE post_embeddings ALTER embedding TYPE vector")
    await publish(connection, 1, 2)
    await embed(connection, UUID(int=1), np.ones(DIMENSIONS - 1))
    await embed(connection, UUID(int=2), np.ones(DIMENSIONS))
    read, embedded = await read_embeddings(connection, posts(1, 2), "all-MiniLM-L6-v2")
    assert embedded.tolist() == [True, True]
    assert read.any(axis=1).tolist() == [False, True]


async def test_no_posts_have_no_embeddings(connection: asyncpg.Connection):
    read, embedded = await read_embeddings(connection, posts(), "all-MiniLM-L6-v2")
    assert read.shape == (0, DIMENSIONS)
    assert embedded.shape == (await existing(connection, posts())).shape == (0,)


async def test_existing_posts_are_told_from_lost_ones(connection: asyncpg.Connection):
    await publish(connection, *IDS[1:4])
    found = await existing(connection, posts(*IDS))
    assert found.tolist() == [False, True, True, True, False, False]


async def test_vector_type_of_the_tests_is_the_driver_s(connection: asyncpg.Connection):
    assert isinstance(await connection.fetchval("SELECT '[1,2]'::VECTOR"), Vector)
