import json
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

import numpy as np
import pytest
import pytest_asyncio
from numpy.typing import NDArray
from valkey.asyncio import Valkey as Redis

from dev.serve import serve
from dev.upstash import Drop, Refuse, Request, Stage, Upstash
from dev.valkey import Valkey
from lib.cache import PIPELINE_BYTES, TTL_SECONDS, Cache, encode, key
from lib.errors import Unavailable
from lib.settings import RedisSettings

TOKEN = "canary-7f3a"
A, B, C = (UUID(int=n) for n in range(1, 4))


@dataclass(frozen=True)
class Stand:
    """A cache, and the stand-in that it writes to."""

    cache: Cache
    upstash: Upstash
    url: str


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def redis(valkey_server: Valkey) -> AsyncIterator[Redis]:
    """Lend a client that goes to the server itself."""
    client = Redis(unix_socket_path=str(valkey_server.address))
    yield client
    await client.aclose()


@asynccontextmanager
async def stood(valkey: Valkey, max_request: int = PIPELINE_BYTES) -> AsyncIterator[Stand]:
    upstash = Upstash(valkey.address, token=TOKEN, max_request=max_request)
    async with serve(upstash.app) as url:
        cache = Cache(RedisSettings(url, TOKEN))
        yield Stand(cache, upstash, url)
        await cache.close()
        await upstash.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def standing(valkey_server: Valkey) -> AsyncIterator[Stand]:
    async with stood(valkey_server) as stand:
        yield stand


@pytest_asyncio.fixture(loop_scope="module")
async def stand(standing: Stand, redis: Redis) -> Stand:
    """Lend the stand, empty and without faults."""
    standing.upstash.requests.clear()
    standing.upstash.on_request = None
    await redis.flushall()
    return standing


def vector(seed: int, size: int = 384) -> NDArray[np.float32]:
    made = np.random.default_rng(seed).normal(size=size)
    return (made / np.linalg.norm(made)).astype(np.float32)


async def test_vector_is_kept_for_seven_days_under_the_specified_key(stand: Stand, redis: Redis):
    await stand.cache.put({A: vector(1)})
    assert await redis.keys() == [f"user:{A}:embedding".encode()] == [key(A).encode()]
    assert TTL_SECONDS == 7 * 24 * 3600
    assert TTL_SECONDS - 60 <= await redis.ttl(key(A)) <= TTL_SECONDS


async def test_value_is_json_that_reads_back_bit_for_bit(stand: Stand, redis: Redis):
    written = {user: vector(user.int) for user in (A, B, C)}
    await stand.cache.put(written)
    for user, expected in written.items():
        value = await redis.get(key(user))
        assert np.array(json.loads(value), dtype=np.float32).tobytes() == expected.tobytes()
        assert len(value) < 5000


async def test_newer_vector_takes_the_older_one_s_place_and_its_time_begins_anew(
    stand: Stand, redis: Redis
):
    await stand.cache.put({A: vector(1)})
    await redis.expire(key(A), 100)
    await stand.cache.put({A: vector(2)})
    assert await redis.get(key(A)) == encode(vector(2)).encode()
    assert await redis.ttl(key(A)) > TTL_SECONDS - 60


async def test_pipelines_are_as_few_as_their_greatest_size_allows(stand: Stand, redis: Redis):
    users = {UUID(int=n): vector(n) for n in range(500)}
    await stand.cache.put(users)
    sizes = [request.size for request in stand.upstash.requests]
    total = sum(len(key(user)) + len(encode(value)) for user, value in users.items())
    assert {request.path for request in stand.upstash.requests} == {"/pipeline"}
    assert len(sizes) == -(-total // PIPELINE_BYTES) == 3
    assert max(sizes) <= PIPELINE_BYTES
    assert await redis.dbsize() == 500


async def test_entry_that_is_too_large_for_company_goes_alone(valkey_server: Valkey):
    large = np.full(PIPELINE_BYTES // len("0.5,") + 1, 0.5, dtype=np.float32)
    async with stood(valkey_server, max_request=2 * PIPELINE_BYTES) as stand:
        await stand.cache.put({A: large, B: vector(1), C: large})
        assert [len(request.commands) for request in stand.upstash.requests] == [1, 1, 1]


async def test_keys_of_a_full_slice_are_deleted_in_one_short_request(stand: Stand, redis: Redis):
    users = [UUID(int=n) for n in range(500)]
    await redis.mset({key(user): b"[]" for user in users})
    await stand.cache.drop(users)
    [request] = stand.upstash.requests
    assert request.size < 500 * 54 + 10
    assert await redis.dbsize() == 0


async def test_keys_are_deleted_in_one_command(stand: Stand, redis: Redis):
    await stand.cache.put({user: vector(1) for user in (A, B, C)})
    stand.upstash.requests.clear()
    await stand.cache.drop([A, B, UUID(int=99)])
    assert await redis.keys() == [key(C).encode()]
    [request] = stand.upstash.requests
    assert request.commands == [["DEL", key(A), key(B), key(UUID(int=99))]]


async def test_vector_is_read_bit_for_bit_as_it_was_put(stand: Stand):
    await stand.cache.put({A: vector(1), B: vector(2)})
    stand.upstash.requests.clear()
    found = await stand.cache.read(A)
    assert found is not None
    assert found.dtype == np.float32
    assert found.tobytes() == vector(1).tobytes()
    [request] = stand.upstash.requests
    assert request.commands == [["GET", key(A)]]


async def test_nothing_is_read_where_there_is_no_key(stand: Stand):
    await stand.cache.put({B: vector(2)})
    assert await stand.cache.read(A) is None


@pytest.mark.parametrize(
    "value",
    [
        "",
        "null",
        "7",
        "{}",
        "[]",
        "[[0.5]]",
        '["a"]',
        "not JSON",
        encode(vector(1))[:-1],
        encode(vector(1, 383)),
        encode(vector(1, 385)),
        encode(vector(1)).replace("[", "[1e39,", 1).rpartition(",")[0] + "]",
        "[" * 100_000,
    ],
    ids=lambda value: value[:8],
)
async def test_value_that_is_no_vector_is_unavailable(stand: Stand, redis: Redis, value: str):
    await redis.set(key(A), value)
    await unavailable(read(stand.cache))


async def test_nothing_costs_no_request(stand: Stand):
    await stand.cache.put({})
    await stand.cache.drop([])
    assert stand.upstash.requests == []


async def test_cache_that_was_closed_connects_anew(stand: Stand, redis: Redis):
    for _ in range(2):
        await stand.cache.put({A: vector(1)})
        await stand.cache.close()
    assert await redis.get(key(A)) == encode(vector(1)).encode()
    await stand.cache.drop([A])
    assert await redis.dbsize() == 0


async def test_cache_that_was_never_used_closes():
    await Cache(RedisSettings("http://127.0.0.1:1", TOKEN)).close()


async def put(cache: Cache) -> None:
    await cache.put({A: vector(1), B: vector(2)})


async def drop(cache: Cache) -> None:
    await cache.drop([A, B])


async def read(cache: Cache) -> None:
    await cache.read(A)


type Call = Callable[[Cache], Awaitable[None]]


async def unavailable(calling: Awaitable[None]) -> str:
    """Return what is said of a Redis that fails the call."""
    with pytest.raises(Unavailable, match=r"^redis: ") as refused:
        await calling
    assert TOKEN not in "".join(traceback.format_exception(refused.value))
    return str(refused.value)


NOT_JSON = Refuse(200, "<html>502 Bad Gateway</html>", "text/html")
BOTH = {
    "cut off": Drop(),
    "500": Refuse(500, '{"error": "ERR internal"}'),
    "502 of a proxy": Refuse(502, "<html>Bad Gateway</html>", "text/html"),
    "429": Refuse(429, '{"error": "ERR max requests limit exceeded"}'),
    "401": Refuse(401, '{"error": "WRONGPASS invalid or missing auth token"}'),
    "not JSON": NOT_JSON,
    "empty": Refuse(200, ""),
    "null": Refuse(200, "null"),
    "number": Refuse(200, "7"),
    "text": Refuse(200, '"OK"'),
    "true": Refuse(200, "true"),
    "object without a result": Refuse(200, '{"answer": 1}'),
    "array of numbers": Refuse(200, "[1, 2]"),
    "array of null": Refuse(200, "[null, null]"),
    "array of arrays": Refuse(200, '[["OK"], ["OK"]]'),
    "nested without end": Refuse(200, "[" * 100_000 + "]" * 100_000),
}
PUT = {
    "one object": Refuse(200, '{"result": "OK"}'),
    "no results": Refuse(200, "[]"),
    "fewer results": Refuse(200, '[{"result": "OK"}]'),
    "results that are null": Refuse(200, '[{"result": null}, {"result": null}]'),
    "results that say something else": Refuse(200, '[{"result": "OK"}, {"result": "QUEUED"}]'),
    "numbers as results": Refuse(200, '[{"result": 1}, {"result": 1}]'),
    "one command that failed": Refuse(200, '[{"result": "OK"}, {"error": "OOM"}]'),
    "every command failed": Refuse(200, '[{"error": "READONLY"}, {"error": "READONLY"}]'),
}
DROP = {
    "results of a pipeline": Refuse(200, '[{"result": 2}]'),
    "error with 200": Refuse(200, '{"error": "READONLY"}'),
}
READ = DROP | {
    "number as a result": Refuse(200, '{"result": 7}'),
    "array as a result": Refuse(200, '{"result": [0.5]}'),
}
FAULTS = [
    *[pytest.param(put, fault, id=f"put, {name}") for name, fault in (BOTH | PUT).items()],
    *[pytest.param(drop, fault, id=f"drop, {name}") for name, fault in (BOTH | DROP).items()],
    *[pytest.param(read, fault, id=f"read, {name}") for name, fault in (BOTH | READ).items()],
]


@pytest.mark.parametrize(("call", "fault"), FAULTS)
async def test_answer_that_confirms_nothing_is_unavailable(
    stand: Stand, redis: Redis, call: Call, fault: Exception
):
    async def answer(_: Request, stage: Stage) -> None:
        if stage is Stage.ARRIVED:
            raise fault

    stand.upstash.on_request = answer
    await unavailable(call(stand.cache))
    stand.upstash.on_request = None
    await put(stand.cache)
    assert await redis.dbsize() == 2
    await drop(stand.cache)
    assert await redis.dbsize() == 0


async def test_command_that_the_server_refuses_is_unavailable_and_names_the_reason(
    stand: Stand, redis: Redis
):
    await redis.config_set("maxmemory", "1mb")
    try:
        assert "OOM" in await unavailable(put(stand.cache))
    finally:
        await redis.config_set("maxmemory", "0")


async def test_one_pipeline_that_fails_makes_the_whole_write_unavailable():
    with Valkey() as valkey:
        # of its own: what is given up on may still be under way
        async with stood(valkey) as stand:

            async def refuse_one(request: Request, stage: Stage) -> None:
                if stage is Stage.ARRIVED and request is stand.upstash.requests[0]:
                    raise Refuse(500, '{"error": "ERR"}')

            stand.upstash.on_request = refuse_one
            await unavailable(stand.cache.put({UUID(int=n): vector(n) for n in range(500)}))


@pytest.mark.parametrize("call", [put, drop, read])
async def test_wrong_token_is_unavailable(stand: Stand, call: Call):
    cache = Cache(RedisSettings(stand.url, "another-token"))
    assert "another-token" not in await unavailable(call(cache))
    await cache.close()


@pytest.mark.parametrize("call", [put, drop, read])
@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "https://127.0.0.1:1"])
async def test_server_out_of_reach_is_unavailable(url: str, call: Call):
    cache = Cache(RedisSettings(url, TOKEN))
    await unavailable(call(cache))
    await cache.close()


async def test_valkey_that_is_down_is_unavailable_until_it_is_up():
    with Valkey() as valkey:
        async with stood(valkey) as stand:
            await put(stand.cache)
            valkey.stop()
            await unavailable(put(stand.cache))
            await unavailable(drop(stand.cache))
            await unavailable(read(stand.cache))
            valkey.start()
            await put(stand.cache)
