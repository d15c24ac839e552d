"""Where an index gives up, every post is looked at: nothing near is missed."""

from datetime import UTC, datetime
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import numpy as np
import pytest
from asyncpg import Connection
from pgvector import Vector

from tests.reads.conftest import Reads, store, unit
from tests.scene import MODEL

POSTS, KNOWN = 3000, 2850
NEAREST = "CREATE INDEX ON post_embeddings USING hnsw (embedding vector_ip_ops) WITH (m = 4)"


@pytest.fixture
async def walked(connection: Connection, database_url: str) -> UUID:
    """A user who knows the posts that are nearest, and an index that gives up at once."""
    user = await store(connection)
    random = np.random.default_rng(5)
    vectors = random.normal(size=(POSTS, 384)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors = vectors[np.argsort(-(vectors @ unit(1)))]
    posts, now = [uuid4() for _ in range(POSTS)], datetime.now(UTC)
    for table, columns, records in (
        ("posts", ("id", "created_at"), [(post, now) for post in posts]),
        (
            "post_embeddings",
            ("post_id", "embedding", "model_version"),
            [(post, Vector(vector), MODEL) for post, vector in zip(posts, vectors, strict=True)],
        ),
        (
            "action_log",
            ("user_id", "post_id", "action_type"),
            [(user, post, "view_post") for post in posts[:KNOWN]],
        ),
    ):
        await connection.copy_records_to_table(table, columns=columns, records=records)
    await connection.execute(NEAREST)
    await connection.execute("ANALYZE")
    name = urlsplit(database_url).path[1:]
    for setting in ("hnsw.max_scan_tuples = 1", "enable_seqscan = off", "enable_sort = off"):
        await connection.execute(f"ALTER DATABASE {name} SET {setting}")
    # what is unknown and nearest, in its order
    await connection.execute(
        "CREATE TABLE wanted AS SELECT unnest($1::UUID[]) AS post", posts[KNOWN:]
    )
    return user


async def test_posts_nearest_come_though_the_index_gives_up(
    reads: Reads, connection: Connection, walked: UUID
):
    wanted = [row["post"] for row in await connection.fetch("SELECT post FROM wanted LIMIT 60")]
    answer = await reads.get(f"{walked}/recommendations", limit="60", diversity="0")
    assert [UUID(post["post_id"]) for post in answer.json()["posts"]] == wanted
