"""What Redis counts of everybody's reads is shown; what it does not tell is missing, and why."""

import asyncio

import pytest
from valkey.asyncio import Valkey as Redis

from dev import upstash
from dev.upstash.hook import Hook
from lib.status.keyspace import parse
from lib.status.status import Keyspace
from tests.conftest import Start
from tests.status.test_status import ask, samples, status

COUNTS = {
    "user_embeddings_redis_keyspace_hits_total",
    "user_embeddings_redis_keyspace_misses_total",
}


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(
            "# Stats\r\nexpired_keys:1\r\nkeyspace_hits:3\r\nkeyspace_misses:2\r\n", id="some"
        ),
        pytest.param("keyspace_misses:2\nkeyspace_hits:3", id="another order, other line ends"),
        pytest.param("a:b:c\r\n:\r\n\r\nkeyspace_hits:3\r\nkeyspace_misses:2", id="more"),
    ],
)
def test_counts_are_found_among_other_lines(text: str):
    assert parse(text) == Keyspace(None, 3, 2)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("# Stats\r\n", id="a heading alone"),
        pytest.param("keyspace_hits:3\r\n", id="hits alone"),
        pytest.param("keyspace_hits:-3\r\nkeyspace_misses:2", id="less than none"),
        pytest.param("keyspace_hits:many\r\nkeyspace_misses:2", id="words"),
        pytest.param("keyspace_hits:\r\nkeyspace_misses:2", id="an empty value"),
        pytest.param(f"keyspace_hits:{10**30}\r\nkeyspace_misses:2", id="more than 64 bits"),
    ],
)
def test_answer_without_both_counts_is_trouble(text: str):
    found = parse(text)
    assert (found.hits, found.misses) == (None, None)
    assert "keyspace_hits and keyspace_misses" in (found.trouble or "")


async def test_reads_that_never_touch_our_routes_are_counted(start: Start, redis: Redis):
    stack = await start()
    await redis.set("somebodys", "1")
    await redis.config_resetstat()
    await redis.mget("somebodys", "somebodys", "somebodys", "nobodys", "nobodys")
    assert (await status(stack))["keyspace"] == {"trouble": None, "hits": 3, "misses": 2}
    found = samples((await ask(stack, "/api/metrics")).text)
    assert found["user_embeddings_redis_told",] == 1
    assert found["user_embeddings_redis_keyspace_hits_total",] == 3
    assert found["user_embeddings_redis_keyspace_misses_total",] == 2


async def refuse(_: upstash.Request, __: upstash.Stage) -> None:
    raise upstash.Refuse(400, '{"error":"NOPERM this user has no permissions to run INFO"}')


async def say_little(_: upstash.Request, __: upstash.Stage) -> None:
    raise upstash.Refuse(200, '{"result":"IyBTdGF0cw0K"}')


async def lie(_: upstash.Request, __: upstash.Stage) -> None:
    raise upstash.Refuse(200, '{"result":[1,2]}')


async def never_answer(_: upstash.Request, __: upstash.Stage) -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("hook", "said"),
    [
        pytest.param(refuse, "NOPERM", id="not allowed"),
        pytest.param(say_little, "expected keyspace_hits", id="a heading alone"),
        pytest.param(lie, "not an answer of Upstash's", id="an answer of another kind"),
        pytest.param(never_answer, "TimeoutError", id="no answer"),
    ],
)
async def test_status_survives_a_redis_that_does_not_tell(start: Start, hook: Hook, said: str):
    stack = await start()
    stack.upstash.on_request = hook
    found = (await status(stack))["keyspace"]
    assert (found["hits"], found["misses"]) == (None, None)
    assert said in found["trouble"]
    metrics = samples((await ask(stack, "/api/metrics")).text)
    assert metrics["user_embeddings_redis_told",] == 0
    assert not COUNTS & {name for name, *_ in metrics}


async def test_redis_that_is_not_used_is_not_asked(start: Start):
    stack = await start({"CACHE_MODE": "off"})
    found = (await status(stack))["keyspace"]
    assert found == {
        "trouble": "redis is not used: CACHE_MODE is off",
        "hits": None,
        "misses": None,
    }
    assert stack.upstash.requests == []
