"""Redis over Upstash's REST API: each user's vector as JSON, for seven days."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

import httpx
import numpy as np
import orjson
from numpy.typing import NDArray
from upstash_redis.asyncio import Redis
from upstash_redis.errors import UpstashError

from lib.embedding import DIMENSIONS
from lib.errors import Unavailable
from lib.settings import RedisSettings

TTL_SECONDS = 604_800
PIPELINE_BYTES = 1_000_000
SECONDS = 10.0
NONSENSE = (AssertionError, AttributeError, KeyError, RecursionError, TypeError, ValueError)

type Entry = tuple[str, str]
"""A key and its value."""


def key(user: UUID) -> str:
    """Return the key of a user's vector."""
    return f"user:{user}:embedding"


def encode(vector: NDArray[np.float32]) -> str:
    """Return the JSON array of a vector's numbers, each in its shortest float32 spelling."""
    return orjson.dumps(vector, option=orjson.OPT_SERIALIZE_NUMPY).decode()


class Cache:
    """The cached vectors; made once a process, used in one event loop."""

    def __init__(self, settings: RedisSettings) -> None:
        self._settings = settings
        self._client: Redis | None = None

    async def put(self, vectors: Mapping[UUID, NDArray[np.float32]]) -> None:
        """Write the vectors, (384,) float32 each; raise Unavailable if any is not confirmed."""
        pipelines = await asyncio.to_thread(_pipelines, vectors)
        try:
            async with asyncio.TaskGroup() as group:
                for pipeline in pipelines:
                    group.create_task(self._set(pipeline))
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None

    async def _set(self, entries: Sequence[Entry]) -> None:
        pipeline = self._connected().pipeline()
        for name, value in entries:
            pipeline.set(name, value, ex=TTL_SECONDS)
        async with _bounded():
            confirmed = await pipeline.exec()
        if confirmed != [True] * len(entries):
            raise Unavailable(f"redis: expected {len(entries)} writes confirmed, got others")

    async def drop(self, users: Sequence[UUID]) -> None:
        """Delete the users' keys in one command; 54 bytes each, so of a few thousand at most."""
        if users:
            client = self._connected()
            async with _bounded():
                await client.delete(*map(key, users))

    async def read(self, user: UUID) -> NDArray[np.float32] | None:
        """Return the user's vector, (384,) float32, if there is one; raise Unavailable.

        So it does where the value is no such vector: it is none of ours then.
        """
        client = self._connected()
        async with _bounded():
            value = await client.get(key(user))
            if value is None:
                return None
            with np.errstate(over="ignore"):  # to infinity, which is refused below
                vector = np.array(orjson.loads(value), dtype=np.float32)
        if vector.shape != (DIMENSIONS,) or not np.isfinite(vector).all():
            raise Unavailable(
                f"redis: expected {DIMENSIONS} finite numbers in {key(user)}, got other ones"
            )
        return vector

    async def close(self) -> None:
        """Close the connections; the next call opens new ones."""
        client, self._client = self._client, None
        if client:
            await client.close()

    def _connected(self) -> Redis:
        # a client takes 50 ms to make, more than all modules of ours to import
        if self._client is None:
            settings = self._settings
            self._client = Redis(
                settings.url, settings.token, rest_retries=0, allow_telemetry=False
            )
        return self._client


def _pipelines(vectors: Mapping[UUID, NDArray[np.float32]]) -> list[list[Entry]]:
    """Spell the vectors in pipelines of at most PIPELINE_BYTES each, or one entry."""
    pipelines: list[list[Entry]] = []
    room = 0
    for user, vector in vectors.items():
        entry = (key(user), encode(vector))
        length = len(entry[0]) + len(entry[1]) + 40
        if length > room:
            pipelines.append([])
            room = PIPELINE_BYTES
        pipelines[-1].append(entry)
        room -= length
    return pipelines


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
