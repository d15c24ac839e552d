"""A made-up platform of posts about topics, and users who know some of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BytesIO
from uuid import UUID

import asyncpg
import numpy as np
from numpy.typing import NDArray
from pgvector import Vector
from pgvector.asyncpg import register_vector

from bench.tuples import END, HEAD, VECTOR, pack
from lib.embedding import DIMENSIONS

SEED = 20_000
MODEL = "all-MiniLM-L6-v2"
TOPICS = 100
DAYS = 60
USUAL, MANY = 100, 5000
"""So many posts a user knows."""

EACH = 16
"""Users of each kind."""

type Connection = asyncpg.Connection[asyncpg.Record]


@dataclass(frozen=True)
class User:
    """`known`: which posts; `vector`: (384,) float32, their mean less that of all posts."""

    id: UUID
    known: NDArray[np.intp]
    vector: NDArray[np.float32]


@dataclass(frozen=True)
class World:
    """`vectors`: (n, 384) float32 of unit length; `about`: (n,) which topic each post is about.

    `users`: by what kind they are of.
    """

    posts: Sequence[UUID]
    vectors: NDArray[np.float32]
    about: NDArray[np.intp]
    users: dict[str, list[User]]

    @classmethod
    def of(cls, posts: int) -> "World":
        """Make a world; the same for the same number of posts.

        A post's vector is its topic's, a random direction, and noise that is 1.2 times as long.
        """
        draw = np.random.default_rng(SEED)
        topics = _unit(draw.standard_normal((TOPICS, DIMENSIONS)))
        about = draw.integers(0, TOPICS, posts)
        noise = draw.standard_normal((posts, DIMENSIONS), dtype=np.float32)
        vectors = _unit(topics[about] + 1.2 / DIMENSIONS**0.5 * noise).astype(np.float32)
        ids = [UUID(bytes=draw.bytes(16)) for _ in range(posts)]
        mean = vectors.mean(axis=0, dtype=np.float64)
        users = {
            f"knows {USUAL} posts, {named}": [
                _user(draw, vectors, about, mean, topics=count, known=USUAL) for _ in range(EACH)
            ]
            for count, named in ((1, "one topic"), (3, "3 topics"), (6, "6 topics"))
        }
        users[f"knows {MANY:,} posts, 8 topics"] = [
            _user(draw, vectors, about, mean, topics=8, known=MANY) for _ in range(EACH)
        ]
        return cls(ids, vectors, about, users)

    def nearest(self, user: User, number: int) -> set[UUID]:
        """Return the posts unknown to the user that are nearest, by looking at all."""
        products = self.vectors @ user.vector
        products[user.known] = -np.inf
        return {self.posts[place] for place in np.argsort(-products, kind="stable")[:number]}


def _user(
    draw: np.random.Generator,
    vectors: NDArray[np.float32],
    about: NDArray[np.intp],
    mean: NDArray[np.float64],
    *,
    topics: int,
    known: int,
) -> User:
    mine = draw.choice(TOPICS, topics, replace=False)
    # of nobody's topics more than three quarters are known
    near = np.flatnonzero(np.isin(about, mine))
    near = draw.choice(near, min(known, 3 * len(near) // 4), replace=False)
    rest = draw.choice(len(about), known - len(near), replace=False)
    vector = _unit((vectors[near].mean(axis=0, dtype=np.float64) - mean)[None])[0]
    posts = np.unique(np.concatenate([near, rest]))
    return User(UUID(bytes=draw.bytes(16)), posts, vector.astype(np.float32))


def _unit(rows: NDArray[np.floating]) -> NDArray[np.float64]:
    whole = rows.astype(np.float64)
    whole /= np.linalg.norm(whole, axis=1, keepdims=True)
    return whole


async def load(connection: Connection, world: World) -> None:
    """Write a world into the tables of `db/platform.sql` and `db/schema.sql`."""
    await register_vector(connection)
    draw, now = np.random.default_rng(SEED), datetime.now(UTC)
    ids = np.frombuffer(b"".join(post.bytes for post in world.posts), dtype="V16")
    since = microseconds(now) - draw.integers(0, DAYS * 86_400_000_000, len(ids))
    topics = np.array([f"topic {topic}".encode() for topic in world.about])
    await _copy(
        connection, "posts", ("id", "created_at", "topic"), pack(ids, since.astype(">i8"), topics)
    )
    for first in range(0, len(ids), 10_000):
        part = slice(first, first + 10_000)
        vectors = np.zeros(len(ids[part]), dtype=VECTOR)
        vectors["dimensions"], vectors["numbers"] = DIMENSIONS, world.vectors[part]
        models = np.full(len(vectors), MODEL.encode())
        columns = ("post_id", "embedding", "model_version")
        await _copy(connection, "post_embeddings", columns, pack(ids[part], vectors, models))
    everybody = [user for users in world.users.values() for user in users]
    await connection.executemany(
        "INSERT INTO users VALUES ($1)", [(user.id,) for user in everybody]
    )
    await connection.copy_records_to_table(
        "user_embeddings",
        columns=("user_id", "embedding", "model_version"),
        records=[(user.id, Vector(user.vector), MODEL) for user in everybody],
    )
    kinds = ("view_post", "view_post", "view_post", "like_post", "share_post")
    await connection.copy_records_to_table(
        "action_log",
        columns=("user_id", "post_id", "action_type", "created_at"),
        records=[
            (
                user.id,
                world.posts[place],
                kinds[place % len(kinds)],
                now - timedelta(minutes=20 + int(place) % 40_000),
            )
            for user in everybody
            for place in user.known
        ],
    )


def microseconds(time: datetime) -> int:
    """Return a time as Postgres receives it."""
    return (time - datetime(2000, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


async def _copy(connection: Connection, table: str, columns: tuple[str, ...], rows: bytes) -> None:
    source = BytesIO(HEAD + rows + END)
    await connection.copy_to_table(table, columns=columns, source=source, format="binary")
