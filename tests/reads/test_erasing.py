"""DELETE /api/users/{id}/embedding: for whoever has the admin's token, and no one else."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import httpx
import pytest
from asyncpg import Connection
from valkey.asyncio import Valkey as Redis

from dev import upstash
from lib.cache import encode, key
from lib.store.erasures import opt_out, read_erasure
from tests.promises import rows
from tests.reads.conftest import ADMIN, API, Reads, client, events, store, unit
from tests.scene import act


async def erase(http: httpx.AsyncClient, user: UUID, **headers: str) -> httpx.Response:
    return await http.delete(f"/api/users/{user}/embedding", headers=headers or ADMIN)


async def test_erasure_leaves_nothing_and_answers_what_is_remembered(
    reads: Reads, connection: Connection, redis: Redis, caplog: pytest.LogCaptureFixture
):
    user, other = await store(connection), await store(connection, 2)
    for one, seed in ((user, 1), (other, 2)):
        await redis.set(key(one), encode(unit(seed)))
    ahead = datetime.now(UTC) + timedelta(days=3)
    await act(connection, user, uuid4(), at=ahead)
    answer = await erase(reads.http, user)
    remembered = await read_erasure(connection, user)
    assert remembered is not None
    body = answer.json()
    assert (answer.status_code, set(body)) == (
        200,
        {"user_id", "erased_at", "ahead", "opted_out"},
    )
    assert (body["user_id"], body["opted_out"]) == (str(user), False)
    assert datetime.fromisoformat(body["erased_at"]) == remembered.erased_at
    assert [datetime.fromisoformat(time) for time in body["ahead"]] == [ahead]
    assert set(await rows(connection)) == {other}
    assert await redis.keys() == [key(other).encode()]
    assert (await reads.get(f"{user}/embedding")).status_code == 404
    assert [event["user"] for event in events(caplog, "erased")] == [str(user)]


async def test_erasure_may_be_repeated_and_does_no_harm_to_who_never_was(
    reads: Reads, connection: Connection
):
    user = await store(connection)
    await opt_out(connection, user)
    times = []
    for one in (user, user, uuid4()):
        answer = await erase(reads.http, one)
        assert (answer.status_code, answer.json()["opted_out"]) == (200, one == user)
        times.append(answer.json()["erased_at"])
    assert times == sorted(times)


@pytest.mark.parametrize(
    "headers", [API, {}, {"Authorization": "Bearer"}], ids=["api token", "none", "empty"]
)
async def test_erasure_is_for_the_admin_s_token_alone(
    reads: Reads, connection: Connection, headers: dict[str, str]
):
    user = await store(connection)
    answer = await reads.http.delete(f"/api/users/{user}/embedding", headers=headers)
    assert (answer.status_code, answer.json()) == (401, {"error": "unauthorized"})
    assert (reads.proxy.connections, reads.upstash.requests) == (0, [])
    assert set(await rows(connection)) == {user}


async def test_reading_is_not_for_the_admin_s_token(reads: Reads):
    answer = await reads.http.get(f"/api/users/{uuid4()}/embedding", headers=ADMIN)
    assert answer.status_code == 401


async def test_erasure_without_redis_says_that_postgres_is_done(
    reads: Reads, connection: Connection, redis: Redis
):
    user = await store(connection)
    await redis.set(key(user), encode(unit(1)))

    async def cut(_: upstash.Request, __: upstash.Stage) -> None:
        raise upstash.Drop

    reads.upstash.on_request = cut
    answer = await erase(reads.http, user)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "60")
    assert answer.json() == {"error": "unavailable", "postgres": "erased", "redis": "unknown"}
    assert await rows(connection) == {}
    reads.upstash.on_request = None
    assert (await erase(reads.http, user)).status_code == 200
    assert await redis.keys() == []


async def test_erasure_without_postgres_is_not_done_and_says_so(
    reads: Reads, connection: Connection, redis: Redis
):
    user = await store(connection)
    await redis.set(key(user), encode(unit(1)))
    reads.proxy.refuse = True
    answer = await erase(reads.http, user)
    assert (answer.status_code, answer.json()) == (503, {"error": "unavailable"})
    assert await redis.exists(key(user))
    assert set(await rows(connection)) == {user}


async def test_erasure_with_a_cache_that_is_off_asks_postgres_alone(
    reads: Reads, connection: Connection
):
    user = await store(connection)
    async with client(reads.environ | {"CACHE_MODE": "off"}) as http:
        assert (await erase(http, user)).status_code == 200
    assert (await rows(connection), reads.upstash.requests) == ({}, [])
