"""The specification's loop: one user at a time, each step for that user alone."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import asyncpg
import numpy as np
from numpy.typing import NDArray
from pgvector import Vector
from pgvector.asyncpg import register_vector
from upstash_redis.asyncio import Redis

from lib.cache import TTL_SECONDS, encode, key
from lib.embedding import BASELINE, RETRACTIONS
from lib.settings import DatabaseSettings, VectorSettings

SECONDS = 60.0

ACTIONS = """
SELECT post_id, action_type
FROM action_log
WHERE user_id = $1 AND created_at >= now() - $2::INTERVAL
ORDER BY created_at, id
"""

EMBEDDINGS = """
SELECT post_id, embedding
FROM post_embeddings
WHERE post_id = ANY ($1::UUID[]) AND model_version = $2
"""

UPSERT = """
INSERT INTO user_embeddings (user_id, embedding, model_version, generated_at, updated_at)
VALUES ($1, $2, $3, now(), now())
ON CONFLICT (user_id) DO UPDATE SET
  embedding = excluded.embedding,
  model_version = excluded.model_version,
  generated_at = excluded.generated_at,
  updated_at = excluded.updated_at
"""

type Connection = asyncpg.Connection[asyncpg.Record]


async def connect(settings: DatabaseSettings) -> Connection:
    """Connect as the page does: with prepared statements only where there is no pooler."""
    connection = await asyncpg.connect(
        settings.url,
        timeout=SECONDS,
        command_timeout=SECONDS,
        statement_cache_size=0 if settings.pooled else 100,
    )
    await register_vector(connection)
    return connection


async def embed_users(
    connection: Connection, redis: Redis | None, settings: VectorSettings, users: Sequence[UUID]
) -> None:
    """Make and store the vectors of users, all of whom have one; `redis` None: not there."""
    for user in users:
        contributions = await _contributions(connection, settings.lookback, user)
        rows = await connection.fetch(EMBEDDINGS, list(contributions), settings.model_version)
        weights = [contributions[row["post_id"]] for row in rows]
        vector = _mean(weights, [row["embedding"].to_numpy() for row in rows])
        await connection.execute(UPSERT, user, Vector(vector), settings.model_version)
        if redis:
            await redis.set(key(user), encode(vector), ex=TTL_SECONDS)


async def _contributions(
    connection: Connection, lookback: timedelta, user: UUID
) -> dict[UUID, float]:
    """Return the summed weight of each post that counts."""
    weights: dict[tuple[UUID, str], float] = {}
    for post, kind in await connection.fetch(ACTIONS, user, lookback):
        if kind in BASELINE.weights:
            weights[post, kind] = weights.get((post, kind), 0.0) + BASELINE.weights[kind]
        elif kind in RETRACTIONS:
            weights.pop((post, RETRACTIONS[kind]), None)
    sums: dict[UUID, float] = defaultdict(float)
    for (post, _), weight in weights.items():
        sums[post] += weight
    return sums


def _mean(weights: Sequence[float], vectors: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return the weighted mean, of unit length."""
    total = np.array(weights) @ np.stack(vectors).astype(np.float64)
    mean: NDArray[np.float32] = (total / np.linalg.norm(total)).astype(np.float32)
    return mean
