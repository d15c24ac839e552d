"""Redis over Upstash's REST API: each user's vector as JSON, for seven days."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
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

PROVISIONAL_SECONDS = 60
"""How long a reader's copy stays unless `keep` follows: whoever wrote it may have been killed."""

PROOF = "user-embeddings:proof"

KEEP_IF_STILL = """
if redis.call("GET", KEYS[1]) == ARGV[1] then return redis.call("EXPIRE", KEYS[1], ARGV[2]) end
return 0
"""

DELETE_IF_STILL = """
if redis.call("GET", KEYS[1]) == ARGV[1] then return redis.call("DEL", KEYS[1]) end
return 0
"""


@dataclass(frozen=True)
class Cached:
    """What a key holds: its text, and the vector that it spells, (384,) float32.

    None where it spells none: it is not of ours then.
    """

    text: str
    vector: NDArray[np.float32] | None


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
        found = await self.look(user, SECONDS)
        if found is None:
            return None
        if found.vector is None:
            raise Unavailable(
                f"redis: expected {DIMENSIONS} finite numbers in {key(user)}, got other ones"
            )
        return found.vector

    async def look(self, user: UUID, seconds: float) -> Cached | None:
        """Return what the user's key holds, whatever it is; raise Unavailable."""
        client = self._connected()
        async with _bounded(seconds):
            text = await client.get(key(user))
            if text is not None and not isinstance(text, str):
                raise TypeError(type(text).__name__)
        return None if text is None else Cached(text, _vector(text))

    async def fill(self, user: UUID, vector: NDArray[np.float32], seconds: float) -> bool:
        """Write the vector, (384,) float32, if the user has no key; raise Unavailable.

        Returns whether it was written. It stays for PROVISIONAL_SECONDS, unless `keep` follows
        once its writer has seen that Postgres still holds it.
        """
        client = self._connected()
        async with _bounded(seconds):
            confirmed: object = await client.set(
                key(user), encode(vector), nx=True, ex=PROVISIONAL_SECONDS
            )
        return confirmed is True

    async def keep(self, user: UUID, text: str, seconds: float) -> None:
        """Let the user's key stay for TTL_SECONDS if it holds this text; raise Unavailable."""
        client = self._connected()
        async with _bounded(seconds):
            await client.eval(KEEP_IF_STILL, [key(user)], [text, str(TTL_SECONDS)])

    async def withdraw(self, user: UUID, text: str, seconds: float) -> None:
        """Delete the user's key if it still holds this text; raise Unavailable.

        What a page has written there meanwhile stays.
        """
        client = self._connected()
        async with _bounded(seconds):
            await client.eval(DELETE_IF_STILL, [key(user)], [text])

    async def prove(self) -> int:
        """Write, look at and delete a key of nobody's; return how many seconds it would stay.

        Raises Unavailable.
        """
        client = self._connected()
        async with _bounded():
            await client.set(PROOF, "1", ex=PROVISIONAL_SECONDS)
            left: int = await client.ttl(PROOF)
            await client.delete(PROOF)
        return left

    async def statistics(self, seconds: float) -> str:
        """Return what the server tells of itself, as INFO words it; raise Unavailable."""
        client = self._connected()
        async with _bounded(seconds):
            # upstash-redis 1.8 has no method for it
            text = await client.execute(["INFO", "stats"])
            if not isinstance(text, str):
                raise TypeError(type(text).__name__)
        return text

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


def _vector(text: str) -> NDArray[np.float32] | None:
    """Return the vector that a text spells, None if it spells none."""
    try:
        with np.errstate(over="ignore"):  # to infinity, which is refused below
            vector = np.array(orjson.loads(text), dtype=np.float32)
    except NONSENSE:
        return None
    if vector.shape != (DIMENSIONS,) or not np.isfinite(vector).all():
        return None
    return vector


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
async def _bounded(seconds: float = SECONDS) -> AsyncIterator[None]:
    """Turn whatever a Redis that is down, slow or lying causes in the SDK into Unavailable.

    upstash-redis 1.8 has no time-out of its own and lets answers that are no JSON, or JSON of
    another shape, surface as any of the errors caught last.
    """
    try:
        async with asyncio.timeout(seconds):
            yield
    except (UpstashError, httpx.HTTPError, OSError, TimeoutError) as error:
        raise Unavailable(f"redis: {type(error).__name__}: {error}") from error
    except NONSENSE as error:
        raise Unavailable(f"redis: not an answer of Upstash's: {type(error).__name__}") from error
