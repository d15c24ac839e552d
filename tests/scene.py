"""A small platform, made from a seed: users, posts with vectors, and what was done with them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from uuid import UUID

import asyncpg
import numpy as np
from pgvector import Vector
from pgvector.asyncpg import register_vector

MODEL = "all-MiniLM-L6-v2"
TYPES = ("view_post", "like_post", "comment_post", "bookmark_post", "share_post")
RARE = ("unlike_post", "unbookmark_post", "dislike_post", "hide_post", "report_post")


@dataclass(frozen=True)
class Scene:
    """Who there is and what there is to act on."""

    users: tuple[UUID, ...]
    posts: tuple[UUID, ...]


def _uuid(random: Random) -> UUID:
    return UUID(int=random.getrandbits(128), version=4)


async def connect(url: str) -> asyncpg.Connection:
    connection = await asyncpg.connect(url)
    schema = await connection.fetchval(
        "SELECT nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace"
        " WHERE extname = 'vector'"
    )
    await register_vector(connection, schema=schema)
    return connection


async def build(
    connection: asyncpg.Connection, *, users: int = 60, posts: int = 40, seed: int = 1
) -> Scene:
    """Write a platform whose users have done 1 to 15 things each within the last 30 days."""
    random = Random(seed)
    scene = Scene(
        tuple(_uuid(random) for _ in range(users)), tuple(_uuid(random) for _ in range(posts))
    )
    vectors = np.random.default_rng(seed).normal(size=(posts, 384))
    now = datetime.now(UTC)
    log = [
        (
            user,
            random.choice(scene.posts),
            random.choice(TYPES if random.random() < 0.9 else RARE),
            now - timedelta(seconds=random.uniform(60, 30 * 86400)),
        )
        for user in scene.users
        for _ in range(random.randint(1, 15))
    ]
    await connection.executemany("INSERT INTO users VALUES ($1)", [(u,) for u in scene.users])
    await connection.executemany("INSERT INTO posts (id) VALUES ($1)", [(p,) for p in scene.posts])
    await connection.executemany(
        EMBED, [(p, Vector(v), MODEL) for p, v in zip(scene.posts, vectors, strict=True)]
    )
    await connection.executemany(ACT, log)
    return scene


EMBED = (
    "INSERT INTO post_embeddings (post_id, embedding, model_version) VALUES ($1, $2, $3)"
    " ON CONFLICT (post_id) DO UPDATE SET embedding = excluded.embedding,"
    " model_version = excluded.model_version, updated_at = now()"
)
ACT = (
    "INSERT INTO action_log (user_id, post_id, action_type, created_at)"
    " VALUES ($1, $2, $3, coalesce($4, clock_timestamp()))"
)


async def embed(
    connection: asyncpg.Connection,
    post: UUID,
    vector: Sequence[float] | np.ndarray | None,
    model: str = MODEL,
) -> None:
    """Give a post an embedding; None writes NULL."""
    value = None if vector is None else Vector(np.asarray(vector, dtype=np.float32))
    await connection.execute(EMBED, post, value, model)


async def act(
    connection: asyncpg.Connection,
    user: UUID,
    post: UUID,
    kind: str = "like_post",
    at: datetime | None = None,
) -> None:
    """Log an action, now unless another time is given."""
    await connection.execute(ACT, user, post, kind, at)
