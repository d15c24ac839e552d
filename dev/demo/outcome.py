"""What a run left behind, in Postgres and in Redis."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import batched
from typing import TYPE_CHECKING, Any
from uuid import UUID

import numpy as np
import orjson
from numpy.typing import NDArray
from valkey.asyncio import Valkey as Redis

if TYPE_CHECKING:
    from asyncpg import Connection

KEYS_AT_ONCE = 500

RUN = """
SELECT pages, users, window_end, extract(epoch FROM finished_at - window_end)::FLOAT8 AS seconds
FROM embedding.runs
WHERE id = $1
"""

COUNTS = """
SELECT name, amount FROM embedding.run_counts WHERE run_id = $1
"""

VECTORS = """
SELECT user_id, embedding FROM user_embeddings WHERE embedding IS NOT NULL
"""


@dataclass(frozen=True, eq=False)
class Entry:
    """A cached vector, and the seconds that Redis will keep it (negative: forever)."""

    vector: NDArray[np.float32]
    ttl: int


@dataclass(frozen=True, eq=False)
class Outcome:
    """A finished run and the vectors there are after it, (384,) float32 by user.

    `began` is when it was planned and `seconds` what it took from then on. `cached` is all that
    Redis holds, by key.
    """

    pages: int
    users: int
    began: datetime
    seconds: float
    counts: Mapping[str, int]
    vectors: Mapping[UUID, NDArray[np.float32]]
    cached: Mapping[str, Entry]


async def read(connection: "Connection[Any]", redis: Redis, run: UUID) -> Outcome:
    """Read what `run`, which is finished, left behind."""
    row = await connection.fetchrow(RUN, run)
    counts = await connection.fetch(COUNTS, run)
    vectors = await connection.fetch(VECTORS)
    return Outcome(
        row["pages"],
        row["users"],
        row["window_end"],
        row["seconds"],
        {count["name"]: count["amount"] for count in counts},
        {vector["user_id"]: vector["embedding"].to_numpy() for vector in vectors},
        await _cached(redis),
    )


async def _cached(redis: Redis) -> dict[str, Entry]:
    """Read every key that Redis holds."""
    entries = {}
    for keys in batched(await redis.keys("*"), KEYS_AT_ONCE):
        pipeline = redis.pipeline(transaction=False)
        for key in keys:
            pipeline.get(key)
            pipeline.ttl(key)
        replies = await pipeline.execute()
        for key, (value, ttl) in zip(keys, batched(replies, 2), strict=True):
            entries[key.decode()] = Entry(np.array(orjson.loads(value), np.float32), ttl)
    return entries
