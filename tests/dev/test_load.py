from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import numpy as np
import pytest

from dev.load import load
from dev.postgres import Postgres
from dev.world import World, invent

NOW = datetime(2026, 5, 4, tzinfo=UTC)
PLATFORM = Path(__file__).parents[2] / "db" / "platform.sql"
MODEL = "all-MiniLM-L6-v2"


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with Postgres.start() as postgres:
        yield postgres


@pytest.fixture(scope="module")
def world() -> World:
    return invent(NOW, users=60)


@pytest.fixture(params=["public", "extensions"])
async def connection(
    postgres: Postgres, request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[asyncpg.Connection]:
    """Yield a database of the platform's tables, pgvector in `public` or in a schema of its own."""
    schema = request.param
    prepare = tmp_path / "prepare.sql"
    prepare.write_text(
        f"CREATE SCHEMA IF NOT EXISTS {schema}; CREATE EXTENSION vector SCHEMA {schema};"
    )
    name = f"load_{schema}"
    url = await postgres.create(name)
    await postgres.apply(name, prepare, PLATFORM)
    connection = await asyncpg.connect(url, timeout=10, command_timeout=10)
    yield connection
    await connection.close()
    await postgres.drop(name)


async def test_load_writes_everything(connection: asyncpg.Connection, world: World):
    await load(connection, world, MODEL)

    users = await connection.fetch("SELECT id FROM users")
    assert {row["id"] for row in users} == set(world.users)
    posts = await connection.fetch("SELECT id, title, topic, created_at, author_id FROM posts")
    assert {tuple(row) for row in posts} == set(world.posts)
    actions = await connection.fetch(
        "SELECT user_id, post_id, action_type, created_at FROM action_log ORDER BY id"
    )
    assert [tuple(row) for row in actions] == list(world.actions)


async def test_load_writes_the_vectors_of_embedded_posts_only(
    connection: asyncpg.Connection, world: World
):
    await load(connection, world, MODEL)

    rows = await connection.fetch(
        "SELECT post_id, embedding::float4[] AS embedding, model_version FROM post_embeddings"
    )
    stored = {row["post_id"]: row["embedding"] for row in rows}
    embedded = np.flatnonzero(world.embedded)
    assert stored.keys() == {world.posts[number].id for number in embedded}
    assert {row["model_version"] for row in rows} == {MODEL}
    np.testing.assert_array_equal(
        np.array([stored[world.posts[number].id] for number in embedded], np.float32),
        world.vectors[embedded],
    )


async def test_load_beside_what_is_there_already_writes_nothing(
    connection: asyncpg.Connection, world: World
):
    await load(connection, world, MODEL)
    await connection.execute("DELETE FROM users")
    with pytest.raises(asyncpg.UniqueViolationError, match="posts_pkey"):
        await load(connection, world, MODEL)
    assert await connection.fetchval("SELECT count(*) FROM users") == 0
    assert await connection.fetchval("SELECT count(*) FROM action_log") == len(world.actions)
