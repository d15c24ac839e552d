"""Redis over Upstash's REST API: each user's vector as JSON, for seven days."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

import httpx
import numpy as np
import orjson
from numpy.typing import NDArray
from upstash_redis.asyncio import Redis
from upstash_redis.errors import UpstashError

from lib.errors import Unavailable
from lib.settings import RedisSettings

TTL_SECONDS = 604_800
PIPELINE_BYTES = 1_000_000
SECONDS = 10.0
NONSENSE = (AssertionError, AttributeError, KeyError, RecursionError, TypeError, ValueError)


def key(user: UUID) -> str:
    """Return the key of a user's vector."""
    return f"user:{user}:embedding"


def encode(vector: NDArray[np.float32]) -> str:
    """Return the JSON array of a vector's numbers, each in its shortest float32 spelling."""
    return orjson.dumps(vector, option=orjson.OPT_SERIALIZE_NUMPY).decode()


class Cache:
    """The cached vectors; made once a process, used in one event loop."""

    def __init__(self, settings: RedisSettings) -> None:
        self._redis = Redis(settings.url, settings.token, rest_retries=0, allow_telemetry=False)

    async def put(self, vectors: Mapping[UUID, NDArray[np.float32]]) -> None:
        """Write the vectors, (384,) float32 each; raise Unavailable if any is not confirmed."""
        entries = [(key(user), encode(vector)) for user, vector in vectors.items()]
        try:
            async with asyncio.TaskGroup() as group:
                for pipeline in _pipelines(entries):
                    group.create_task(self._set(pipeline))
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None

    async def _set(self, entries: Sequence[tuple[str, str]]) -> None:
        pipeline = self._redis.pipeline()
        for name, value in entries:
            pipeline.set(name, value, ex=TTL_SECONDS)
        async with _bounded():
            confirmed = await pipeline.exec()
        if confirmed != [True] * len(entries):
            raise Unavailable(f"redis: expected {len(entries)} writes confirmed, got others")

    async def drop(self, users: Sequence[UUID]) -> None:
        """Delete the users' keys, in one command."""
        if users:
            async with _bounded():
                await self._redis.delete(*map(key, users))

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.close()


def _pipelines(entries: Sequence[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    """Cut entries into pipelines of at most PIPELINE_BYTES each, or one entry."""
    pipeline: list[tuple[str, str]] = []
    size = 0
    for entry in entries:
        length = len(entry[0]) + len(entry[1]) + 40
        if pipeline and size + length > PIPELINE_BYTES:
            yield pipeline
            pipeline, size = [], 0
        pipeline.append(entry)
        size += length
    if pipeline:
        yield pipeline


@asynccontextmanager
async def _bounded() -> AsyncIterator[None]:
    """Turn whatever a Redis that is down, slow or lying causes in the SDK into Unavailable.

    upstash-redis 1.8 has no time-out of its own and lets answers that are no JSON, or JSON of
    another shape, surface as any of the errors caught last.
    """
    try:
        async with asyncio.timeout(SECONDS):
            yield
    except (UpstashError, httpx.HTTPError, OSError, TimeoutError) as error:
        raise Unavailable(f"redis: {type(error).__name__}: {error}") from error
    except NONSENSE as error:
        raise Unavailable(f"redis: not an answer of Upstash's: {type(error).__name__}") from error
