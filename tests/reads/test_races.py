"""A read that fills Redis, and whoever changes the vector meanwhile: nothing older stays."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from uuid import UUID

import pytest
from asyncpg import Connection
from valkey.asyncio import Valkey as Redis

from dev import upstash
from dev.serve import serve
from dev.upstash import Upstash
from dev.valkey import Valkey
from lib.batch import Services
from lib.batch.mirror import mirror
from lib.cache import encode, key
from lib.recommend.services import Readers
from lib.recommend.vectors import get_user_embedding
from lib.settings import CacheMode
from lib.store import erasures
from lib.store.vectors import NewVectors, upsert
from tests.promises import rows
from tests.reads.conftest import REDIS_TOKEN, Reads, store, unit
from tests.scene import MODEL

STOPS = 9
"""More than a read has: the last ones come after it."""


@dataclass
class Rival:
    """Whoever changes a vector, first in Postgres, then in Redis, by ways of its own."""

    services: Services
    platform: Connection

    async def write(self, user: UUID, seed: int) -> None:
        async with self.services.database.connection() as connection:
            now = await connection.fetchval("SELECT clock_timestamp()")
            erasure = await erasures.read_erasure(connection, user)
            erased = erasure and erasure.erased_at
            await upsert(connection, NewVectors([user], unit(seed)[None], MODEL, now, [erased]))

    async def erase(self, user: UUID, _: int) -> None:
        async with self.services.database.connection() as connection:
            await erasures.erase(connection, user)

    async def erase_and_write(self, user: UUID, seed: int) -> None:
        await self.erase(user, seed)
        await self.write(user, seed)

    async def delete(self, user: UUID, _: int) -> None:
        await self.platform.execute("DELETE FROM users WHERE id = $1", user)

    async def settle(self, user: UUID) -> None:
        await mirror(self.services, [user])

    async def drop(self, user: UUID) -> None:
        assert self.services.cache is not None
        await self.services.cache.drop([user])


@pytest.fixture
async def rival(
    reads: Reads, connection: Connection, functions_url: str, valkey_empty: Valkey, mode: CacheMode
) -> AsyncIterator[Rival]:
    beside = Upstash(valkey_empty.address, token=REDIS_TOKEN)
    async with serve(beside.app) as url:
        services = Services.load(
            {
                **reads.environ,
                "DATABASE_URL": functions_url,
                "UPSTASH_REDIS_REST_URL": url,
                "CACHE_MODE": mode,
                "QSTASH_TOKEN": "unused",
                "APP_URL": "https://app.example",
            }
        )
        yield Rival(services, connection)
        await services.close()
        await beside.close()


@dataclass
class Stops:
    """Stops a read at each message to Postgres and at each end of a request to Redis."""

    parts: dict[int, list[Callable[[], Awaitable[None]]]] = field(default_factory=dict)
    passed: list[str] = field(default_factory=list)

    async def on_request(self, request: upstash.Request, stage: upstash.Stage) -> None:
        await self._stop(f"{request.commands[0][0]} {stage.value}")

    async def on_message(self, kind: bytes, _: bytes) -> None:
        if kind == b"E":
            await self._stop("statement")

    async def _stop(self, name: str) -> None:
        self.passed.append(name)
        for part in self.parts.pop(len(self.passed) - 1, []):
            await part()

    async def rest(self) -> None:
        """Do what was to come at stops that the read did not have."""
        for place in sorted(self.parts):
            for part in self.parts[place]:
                await part()


async def assert_nothing_older(connection: Connection, redis: Redis, user: UUID) -> bytes | None:
    """Hold that the user's key is the vector in Postgres, or not there; return it."""
    held, stored = await redis.get(key(user)), await rows(connection)
    if held is not None:
        assert user in stored, "a vector of nobody stayed"
        row = await connection.fetchval(
            "SELECT embedding FROM user_embeddings WHERE user_id = $1", user
        )
        assert held.decode() == encode(row.to_numpy()), "an older vector stayed"
    return held


CHANGES = {
    "a page": (Rival.write, Rival.settle),
    "an erasure": (Rival.erase, Rival.drop),
    "an erasure and a page": (Rival.erase_and_write, Rival.settle),
    "a user deleted, and the next run": (Rival.delete, Rival.settle),
}
BEFORE = {"no key": None, "the vector": 1, "an older one": 7}


@pytest.mark.parametrize("mode", [CacheMode.WRITE, CacheMode.INVALIDATE])
@pytest.mark.parametrize("before", BEFORE)
@pytest.mark.parametrize("change", CHANGES)
async def test_change_at_any_two_moments_of_a_read_leaves_nothing_older_in_redis(
    reads: Reads,
    readers: Readers,
    rival: Rival,
    connection: Connection,
    redis: Redis,
    *,
    change: str,
    before: str,
    mode: CacheMode,
):
    """Its first half at one stop of the read, its second at the same or any later one."""
    await get_user_embedding(readers, await store(connection))  # connects, and knows the statement
    first_half, second_half = CHANGES[change]
    seen: set[str] = set()
    for first in range(STOPS):
        for second in range(first, STOPS):
            user = await store(connection)
            cached = BEFORE[before]
            if cached is not None:
                await redis.set(key(user), encode(unit(cached)), ex=1000)
            stops = Stops()
            stops.parts.setdefault(first, []).append(lambda u=user: first_half(rival, u, 2))
            stops.parts.setdefault(second, []).append(lambda u=user: second_half(rival, u))
            reads.upstash.on_request, reads.proxy.on_message = stops.on_request, stops.on_message
            reading = await get_user_embedding(readers, user)
            reads.upstash.on_request = reads.proxy.on_message = None
            await stops.rest()
            seen.update(stops.passed)
            held = await assert_nothing_older(connection, redis, user)
            if mode is CacheMode.WRITE and "page" in change:
                assert held is not None, "what the page wrote is gone"
            if reading.embedding is not None:
                assert reading.embedding.tobytes() in (unit(1).tobytes(), unit(2).tobytes())
    assert {"GET arrived", "GET executed", "statement"} <= seen
    if before == "no key":
        assert {"SET arrived", "SET executed", "EVAL arrived", "EVAL executed"} <= seen


@pytest.mark.parametrize("mode", [CacheMode.WRITE, CacheMode.INVALIDATE])
async def test_readers_and_writers_in_a_crowd_leave_nothing_older_in_redis(
    reads: Reads,
    readers: Readers,
    rival: Rival,
    connection: Connection,
    redis: Redis,
):
    seed = random.randrange(10**9)
    print(f"seed {seed}")  # noqa: T201  # shown where it fails
    dice = random.Random(seed)
    users = [await store(connection) for _ in range(5)]

    async def dawdle(*_: object) -> None:
        await asyncio.sleep(dice.choice((0, 0, 0.001, 0.004)))

    reads.upstash.on_request = reads.proxy.on_message = dawdle

    async def read() -> None:
        for _ in range(30):
            await get_user_embedding(readers, dice.choice(users))

    async def change(lane: int) -> None:
        for step in range(20):
            user = users[lane]
            first_half, second_half = CHANGES[
                dice.choice(("a page", "a page", "an erasure", "an erasure and a page"))
            ]
            await first_half(rival, user, 10 + step)
            await dawdle()
            await second_half(rival, user)
            if dice.random() < 0.3:
                await redis.delete(key(user))
            await dawdle()

    async with asyncio.TaskGroup() as crowd:
        for _ in range(4):
            crowd.create_task(read())
        for lane in range(len(users)):
            crowd.create_task(change(lane))
    for user in users:
        await assert_nothing_older(connection, redis, user)
