"""GET /api/users/{id}/embedding: Redis where it can, Postgres where it must, and never neither."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import datetime
from uuid import UUID, uuid4

import httpx
import numpy as np
import pytest
from asyncpg import Connection
from valkey.asyncio import Valkey as Redis

from dev import upstash
from lib.batch.why import why
from lib.cache import TTL_SECONDS, encode, key
from lib.recommend.services import Readers
from lib.store.erasures import erase, opt_out
from tests.conftest import Start, trigger
from tests.promises import rows
from tests.reads.conftest import API, Reads, client, events, store, unit
from tests.scene import MODEL, act, build

FIELDS = {
    *("user_id", "embedding", "source", "model_version", "model", "scheme", "mean"),
    *("generated_at", "updated_at", "interests"),
}


def vector_of(answer: httpx.Response) -> bytes:
    return np.array(answer.json()["embedding"], dtype=np.float32).tobytes()


def commands(reads: Reads) -> list[str]:
    return [command[0] for request in reads.upstash.requests for command in request.commands]


async def test_cached_vector_comes_with_what_postgres_says_of_it(
    reads: Reads, connection: Connection, redis: Redis, caplog: pytest.LogCaptureFixture
):
    user = await store(connection)
    await redis.set(key(user), encode(unit(1)))
    answer = await reads.get(f"{user}/embedding")
    body = answer.json()
    assert (answer.status_code, set(body)) == (200, FIELDS)
    assert vector_of(answer) == unit(1).tobytes()
    assert (body["user_id"], body["source"]) == (str(user), "redis")
    assert (body["model"], body["scheme"], body["mean"]) == (MODEL, None, None)
    assert body["interests"] == []
    row = await connection.fetchrow("SELECT * FROM user_embeddings")
    assert datetime.fromisoformat(body["generated_at"]) == row["generated_at"]
    assert datetime.fromisoformat(body["updated_at"]) == row["updated_at"]
    assert commands(reads) == ["GET"]
    [event] = events(caplog, "read")
    assert (event["source"], event["cache"]) == ("redis", "hit")
    assert event["ms"] >= 0


async def test_missing_key_is_filled_for_seven_days_and_read_the_next_time(
    reads: Reads, connection: Connection, redis: Redis, caplog: pytest.LogCaptureFixture
):
    user = await store(connection)
    first = await reads.get(f"{user}/embedding")
    assert (await redis.get(key(user))).decode() == encode(unit(1))
    assert TTL_SECONDS - 60 <= await redis.ttl(key(user)) <= TTL_SECONDS
    second = await reads.get(f"{user}/embedding")
    assert [one.json()["source"] for one in (first, second)] == ["postgres", "redis"]
    assert vector_of(first) == vector_of(second) == unit(1).tobytes()
    without = [one.json() | {"source": None} for one in (first, second)]
    assert without[0] == without[1]
    assert [event["cache"] for event in events(caplog, "read")] == ["miss", "hit"]


async def test_vector_says_how_it_was_made_and_which_interests_it_has(
    reads: Reads, connection: Connection
):
    user = await store(connection, model_version=f"{MODEL}/recommended@1#7")
    medoids = [uuid4(), uuid4()]
    await connection.executemany(
        "INSERT INTO embedding.user_interests VALUES ($1, $2, $3, $4, 0)",
        [(user, place, 0.7 - 0.4 * place, medoids[place]) for place in (1, 0)],
    )
    body = (await reads.get(f"{user}/embedding")).json()
    assert body["model_version"] == f"{MODEL}/recommended@1#7"
    assert (body["model"], body["scheme"], body["mean"]) == (MODEL, "recommended@1", 7)
    assert body["interests"] == [
        {"place": 0, "share": 0.7, "medoid": str(medoids[0])},
        {"place": 1, "share": pytest.approx(0.3), "medoid": str(medoids[1])},
    ]


async def test_cache_that_is_off_is_neither_asked_nor_filled(
    reads: Reads, connection: Connection, redis: Redis, caplog: pytest.LogCaptureFixture
):
    user = await store(connection)
    await redis.set(key(user), encode(unit(2)))
    async with client(reads.environ | {"CACHE_MODE": "off"}) as http:
        answer = await http.get(f"/api/users/{user}/embedding", headers=API)
    assert (answer.json()["source"], vector_of(answer)) == ("postgres", unit(1).tobytes())
    assert reads.upstash.requests == []
    assert [event["cache"] for event in events(caplog, "read")] == ["off"]


# What Redis can do


type Fault = Callable[[upstash.Request, upstash.Stage], Awaitable[None]]


def answering(status: int, body: str) -> Fault:
    async def refuse(_: upstash.Request, __: upstash.Stage) -> None:
        raise upstash.Refuse(status, body)

    return refuse


async def cut(_: upstash.Request, __: upstash.Stage) -> None:
    raise upstash.Drop


async def hang(_: upstash.Request, __: upstash.Stage) -> None:
    await asyncio.Event().wait()


async def dawdle(_: upstash.Request, __: upstash.Stage) -> None:
    await asyncio.sleep(0.4)  # twice: longer than a read's patience, and then an answer


FAULTS = {
    "gone": cut,
    "hangs": hang,
    "slow": dawdle,
    "refuses": answering(500, '{"error": "ERR internal"}'),
    "wrong password": answering(401, '{"error": "WRONGPASS"}'),
    "no JSON": answering(200, "<html>"),
    "another shape": answering(200, "[]"),
    "a number": answering(200, '{"result": 7}'),
    "a list": answering(200, '{"result": ["a"]}'),
}


@pytest.mark.fault(7)
@pytest.mark.parametrize("fault", FAULTS)
async def test_redis_in_trouble_costs_nobody_an_answer_and_is_counted(
    hasty: Reads, connection: Connection, caplog: pytest.LogCaptureFixture, fault: str
):
    user = await store(connection)
    hasty.upstash.on_request = FAULTS[fault]
    answer = await hasty.get(f"{user}/embedding")
    assert (answer.status_code, answer.json()["source"]) == (200, "postgres")
    assert vector_of(answer) == unit(1).tobytes()
    assert (await hasty.get(f"{uuid4()}/embedding")).status_code == 404
    assert [event["cache"] for event in events(caplog, "read")] == ["trouble", "trouble"]


@pytest.mark.fault(7)
@pytest.mark.parametrize("fault", [cut, hang], ids=["gone", "hangs"])
@pytest.mark.parametrize("stage", upstash.Stage)
@pytest.mark.parametrize("at", ["SET", "EVAL"])
async def test_redis_that_fails_while_it_is_filled_costs_nobody_an_answer_either(
    hasty: Reads,
    connection: Connection,
    redis: Redis,
    *,
    at: str,
    stage: upstash.Stage,
    fault: Fault,
):
    user = await store(connection)

    async def fail(request: upstash.Request, reached: upstash.Stage) -> None:
        if request.commands[0][0] == at and reached is stage:
            await fault(request, reached)

    hasty.upstash.on_request = fail
    answer = await hasty.get(f"{user}/embedding")
    assert (answer.status_code, answer.json()["source"]) == (200, "postgres")
    # what was not confirmed does not stay by itself
    assert await redis.ttl(key(user)) <= 60 or (at, stage) == ("EVAL", upstash.Stage.EXECUTED)


NONSENSE = ["", "null", "[]", "nonsense", "[1, 2, 3]", json.dumps([1e39] * 384), '{"a": 1}']


@pytest.mark.fault(7)
@pytest.mark.parametrize("value", NONSENSE)
async def test_nonsense_in_a_key_is_replaced_by_the_vector(
    reads: Reads,
    connection: Connection,
    redis: Redis,
    caplog: pytest.LogCaptureFixture,
    value: str,
):
    user = await store(connection)
    await redis.set(key(user), value)
    answer = await reads.get(f"{user}/embedding")
    assert (answer.json()["source"], vector_of(answer)) == ("postgres", unit(1).tobytes())
    assert (await redis.get(key(user))).decode() == encode(unit(1))
    assert await redis.ttl(key(user)) > TTL_SECONDS - 60
    assert [event["cache"] for event in events(caplog, "read")] == ["trouble"]


@pytest.mark.fault(7)
async def test_vector_that_is_not_the_one_in_postgres_is_not_answered_and_does_not_stay(
    reads: Reads, connection: Connection, redis: Redis
):
    user = await store(connection)
    await redis.set(key(user), encode(unit(2)))
    answer = await reads.get(f"{user}/embedding")
    assert (answer.json()["source"], vector_of(answer)) == ("postgres", unit(1).tobytes())
    assert (await redis.get(key(user))).decode() == encode(unit(1))


@pytest.mark.fault(7)
async def test_key_of_another_kind_is_trouble_and_left_alone(
    reads: Reads, connection: Connection, redis: Redis
):
    user = await store(connection)
    await redis.lpush(key(user), "a")
    answer = await reads.get(f"{user}/embedding")
    assert (answer.status_code, answer.json()["source"]) == (200, "postgres")
    assert await redis.type(key(user)) == b"list"


# What Postgres can do


async def test_cached_vector_is_answered_without_postgres(
    reads: Reads, connection: Connection, redis: Redis
):
    user = await store(connection)
    await redis.set(key(user), encode(unit(1)))
    reads.proxy.refuse = True
    for query in ({}, {"why": "1"}):
        answer = await reads.get(f"{user}/embedding", **query)
        body = answer.json()
        assert (answer.status_code, body["source"]) == (200, "redis")
        assert vector_of(answer) == unit(1).tobytes()
        unknown = (FIELDS | ({"why"} if query else set())) - {"user_id", "embedding", "source"}
        assert {name: body[name] for name in unknown} == dict.fromkeys(unknown)
    assert await redis.exists(key(user))


async def test_cached_vector_does_not_wait_for_a_postgres_that_hangs(
    hasty: Reads, connection: Connection, redis: Redis
):
    user = await store(connection)
    await redis.set(key(user), encode(unit(1)))

    async def wait(_: bytes, __: bytes) -> None:
        await asyncio.Event().wait()

    hasty.proxy.on_message = wait
    answer = await hasty.get(f"{user}/embedding")
    assert (answer.status_code, answer.json()["model"]) == (200, None)


@pytest.mark.parametrize("trouble", [None, cut], ids=["no key", "no Redis either"])
async def test_without_postgres_and_without_a_key_it_may_be_asked_again(
    reads: Reads, connection: Connection, trouble: Fault | None
):
    user = await store(connection)
    reads.proxy.refuse = True
    reads.upstash.on_request = trouble
    answer = await reads.get(f"{user}/embedding")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "60")
    assert answer.json() == {"error": "unavailable"}


# Who has none


async def nobody(_: Connection) -> UUID:
    return uuid4()


async def newcomer(connection: Connection) -> UUID:
    return await connection.fetchval("INSERT INTO users DEFAULT VALUES RETURNING id")


async def erased(connection: Connection) -> UUID:
    user = await store(connection)
    await erase(connection, user)
    return user


async def opted_out(connection: Connection) -> UUID:
    user = await store(connection)
    await opt_out(connection, user)
    return user


async def emptied(connection: Connection) -> UUID:
    user = await store(connection)
    await connection.execute("UPDATE user_embeddings SET embedding = NULL")
    return user


async def deleted(connection: Connection) -> UUID:
    user = await store(connection)
    await connection.execute("DELETE FROM users WHERE id = $1", user)
    return user


ABSENT = [
    pytest.param(nobody, "no such user", id="nobody"),
    pytest.param(newcomer, "not enough yet", id="newcomer"),
    pytest.param(erased, "not enough yet", id="erased"),
    pytest.param(opted_out, "opted out", id="opted out"),
    pytest.param(emptied, "not enough yet", id="emptied"),
    pytest.param(deleted, "no such user", id="deleted"),
]


@pytest.mark.parametrize(("absent", "reason"), ABSENT)
@pytest.mark.parametrize("cached", [False, True], ids=["no key", "a key"])
async def test_user_without_a_vector_is_told_why_and_keeps_no_key(
    reads: Reads,
    connection: Connection,
    redis: Redis,
    absent: Callable[[Connection], Awaitable[UUID]],
    reason: str,
    *,
    cached: bool,
):
    user = await absent(connection)
    if cached:
        await redis.set(key(user), encode(unit(1)))
    answer = await reads.get(f"{user}/embedding")
    assert (answer.status_code, answer.json()) == (404, {"error": "not found", "reason": reason})
    assert not await redis.exists(key(user))


# Why


async def test_why_tells_what_did_most_for_the_vector(
    start: Start, connection: Connection, readers: Readers
):
    """Under the runtime that Vercel has, by way of the rewrite."""
    scene = await build(connection, users=3)
    user = scene.users[0]
    for post in scene.posts[:12]:
        await act(connection, user, post)
    stack = await start({"EMBEDDING_SCHEME": "recommended"})
    await trigger(stack)
    await stack.broker.drain()
    headers = {"Authorization": f"Bearer {stack.environ['API_TOKEN']}"}
    async with httpx.AsyncClient(base_url=stack.app_url, headers=headers, timeout=30) as http:
        plain = (await http.get(f"/api/users/{user}/embedding")).json()
        answer = await http.get(f"/api/users/{user}/embedding", params={"why": "1"})
        stranger = await http.get(f"/api/users/{user}/embedding", headers={"Authorization": "x"})
    assert (answer.status_code, stranger.status_code) == (200, 401)
    body = answer.json()
    found = await why(readers.database, readers.vectors, user)
    assert found is not None
    shown = body.pop("why")
    assert body | {"source": None} == plain | {"source": None}
    assert vector_of(answer) == np.float32((await rows(connection))[user].embedding).tobytes()
    assert body["scheme"] == "recommended@1"
    assert body["mean"] is not None
    assert shown["similarity"] == pytest.approx(1)
    assert (shown["changed"], shown["posts"]) == (False, found.posts)
    assert len(shown["contributions"]) == 10
    for one, reason in zip(shown["contributions"], found.reasons, strict=True):
        assert one["post"] == str(reason.contribution.post)
        assert one["share"] == pytest.approx(reason.contribution.share)
        assert one["weight"] == pytest.approx(reason.contribution.weight)
        assert one["actions"] == reason.actions
        assert one["age_days"] >= 0


@pytest.mark.parametrize("label", [MODEL, f"{MODEL}/forgotten@9", f"{MODEL}/centred@1#99"])
async def test_vector_that_cannot_be_explained_any_more_is_answered_without_a_why(
    reads: Reads, connection: Connection, label: str
):
    user = await store(connection, model_version=label)
    answer = await reads.get(f"{user}/embedding", why="1")
    assert (answer.status_code, answer.json()["why"]) == (200, None)
