import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import orjson
import pytest
import pytest_asyncio
import upstash_redis
import upstash_redis.asyncio
from upstash_redis.errors import UpstashError

from dev.serve import serve
from dev.upstash import Drop, Refuse, Request, Stage, Upstash
from dev.upstash.resp import execute
from dev.valkey import Valkey

TOKEN = "the-token"
LIMIT = 2_000_000
WEEK = 604_800


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def valkey() -> Iterator[Valkey]:
    with Valkey() as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(valkey: Valkey) -> AsyncIterator[tuple[Upstash, str]]:
    upstash = Upstash(valkey.address, token=TOKEN, max_request=LIMIT)
    async with serve(upstash.app) as url:
        yield upstash, url
        await upstash.close()


@pytest_asyncio.fixture(loop_scope="module")
async def upstash(served: tuple[Upstash, str], valkey: Valkey) -> Upstash:
    upstash, _ = served
    upstash.requests.clear()
    upstash.on_request = None
    await execute(valkey.address, [["FLUSHALL"]])
    return upstash


@pytest.fixture
def url(served: tuple[Upstash, str], upstash: Upstash) -> str:  # noqa: ARG001  # emptied
    return served[1]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(served: tuple[Upstash, str]) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=served[1], timeout=5) as client:
        yield client


@pytest.fixture
def anonymous(client: httpx.AsyncClient, upstash: Upstash) -> httpx.AsyncClient:  # noqa: ARG001  # emptied
    client.headers.pop("Authorization", None)
    return client


@pytest.fixture
def http(anonymous: httpx.AsyncClient) -> httpx.AsyncClient:
    anonymous.headers["Authorization"] = f"Bearer {TOKEN}"
    return anonymous


def sync_sdk(url: str, token: str = TOKEN, **options: Any) -> upstash_redis.Redis:
    return upstash_redis.Redis(url, token, rest_retries=0, **options)


def async_sdk(url: str, token: str = TOKEN, **options: Any) -> upstash_redis.asyncio.Redis:
    return upstash_redis.asyncio.Redis(url, token, rest_retries=0, **options)


def use_everything(redis: Any) -> Iterator[Any]:
    """Ask for each command in turn and take its answer: the same for both clients."""
    assert (yield redis.set("key", "value", ex=WEEK)) is True
    assert (yield redis.get("key")) == "value"
    assert WEEK - 5 <= (yield redis.ttl("key")) <= WEEK
    assert (yield redis.get("missing")) is None
    assert (yield redis.set("key", "other", nx=True)) is False

    text = 'snö 雪 ❄ \x00\x01\x7f\r\n"\\ $3\r\n'
    assert (yield redis.set("text", text)) is True
    assert (yield redis.set("ok", "OK")) is True
    assert (yield redis.mget("key", "missing", "text", "ok")) == ["value", None, text, "OK"]

    assert (yield redis.incr("count")) == 1
    assert (yield redis.incrby("count", 41)) == 42
    assert (yield redis.incrbyfloat("float", 0.5)) == 0.5
    assert (yield redis.incrbyfloat("float", 2.0)) == 2.5
    assert (yield redis.hset("hash", values={"a": "1", "b": "2"})) == 2
    assert (yield redis.hgetall("hash")) == {"a": "1", "b": "2"}
    assert (yield redis.eval("return {1, {'two', {false}}}")) == [1, ["two", [None]]]
    assert (yield redis.ping()) == "PONG"
    assert (yield redis.delete("key", "text", "missing")) == 2

    pipeline = redis.pipeline()
    pipeline.set("p", "1")
    pipeline.incr("p")
    pipeline.get("missing")
    pipeline.mget("p", "missing")
    assert (yield pipeline.exec()) == [True, 2, None, ["2", None]]

    multi = redis.multi()
    multi.set("m", "1", ex=60)
    multi.incr("m")
    multi.ttl("m")
    assert (yield multi.exec()) == [True, 2, 60]


@pytest.mark.parametrize("encoding", ["base64", None])
async def test_sync_sdk_gets_the_answers_of_redis(url: str, encoding: Any):
    def use() -> None:
        with sync_sdk(url, rest_encoding=encoding) as redis:
            asking = use_everything(redis)
            answer = next(asking)
            while True:
                try:
                    answer = asking.send(answer)
                except StopIteration:
                    return

    await asyncio.to_thread(use)


@pytest.mark.parametrize("encoding", ["base64", None])
async def test_async_sdk_gets_the_answers_of_redis(url: str, encoding: Any):
    async with async_sdk(url, rest_encoding=encoding) as redis:
        asking = use_everything(redis)
        question = next(asking)
        while True:
            answer = await question
            try:
                question = asking.send(answer)
            except StopIteration:
                return


async def test_pipeline_executes_what_stands_beside_a_failing_command(
    url: str, http: httpx.AsyncClient
):
    async with async_sdk(url) as redis:
        pipeline = redis.pipeline().set("text", "a").incr("text").set("after", "b")
        with pytest.raises(UpstashError, match=r"^ERR value is not an integer"):
            await pipeline.exec()
        assert await redis.mget("text", "after") == ["a", "b"]

    answer = await http.post("/pipeline", json=[["INCR", "text"], ["NO"], ["GET", "text"]])
    assert answer.status_code == 200
    assert answer.json() == [
        {"error": "ERR value is not an integer or out of range"},
        {"error": "ERR unknown command 'NO', with args beginning with: "},
        {"result": "a"},
    ]


async def test_transaction_that_is_discarded_answers_one_error_and_does_nothing(
    http: httpx.AsyncClient,
):
    answer = await http.post("/multi-exec", json=[["SET", "k", "v"], ["SET", "k"]])
    assert answer.status_code == 400
    assert answer.json() == {"error": "EXECABORT Transaction discarded because of previous errors."}
    assert (await http.post("/", json=["EXISTS", "k"])).json() == {"result": 0}


async def test_transaction_with_an_error_at_execution_answers_it_in_its_place(
    http: httpx.AsyncClient,
):
    answer = await http.post("/multi-exec", json=[["SET", "k", "v"], ["INCR", "k"]])
    assert answer.status_code == 200
    assert answer.json() == [
        {"result": "OK"},
        {"error": "ERR value is not an integer or out of range"},
    ]


@pytest.mark.parametrize("path", ["/", "/pipeline", "/multi-exec", "/set/key/value", "/any/thing"])
@pytest.mark.parametrize(
    "header",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Bearer"},
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Authorization": f"Basic {TOKEN}"},
    ],
    ids=["none", "wrong", "empty", "longer", "basic"],
)
async def test_wrong_token_is_refused_on_every_path(
    upstash: Upstash, anonymous: httpx.AsyncClient, path: str, header: dict[str, str]
):
    answer = await anonymous.post(path, headers=header, content=b'[["SET", "key", "value"]]')
    assert answer.status_code == 401
    assert answer.json()["error"].startswith("WRONGPASS invalid or missing auth token")
    assert upstash.requests == [Request(path, [], 25, 401)]


async def test_wrong_token_reaches_the_sdk_as_its_errors(url: str):
    async with async_sdk(url, token="wrong") as redis:
        with pytest.raises(UpstashError, match=r"^WRONGPASS"):
            await redis.get("key")
        with pytest.raises(AttributeError):  # upstash-redis 1.8 expects a list, whatever comes
            await redis.pipeline().get("key").exec()


@pytest.mark.parametrize(
    ("path", "command"),
    [("/", ["SET", "key", ""]), ("/pipeline", [["SET", "key", ""]]), ("/set/key", "")],
)
async def test_request_is_refused_from_one_byte_above_the_limit(
    http: httpx.AsyncClient, path: str, command: Any
):
    body = orjson.dumps(command)
    fill = b"x" * (LIMIT - len(body))
    fits = body.replace(b'""', b'"' + fill + b'"')
    assert (await http.post(path, content=fits)).status_code == 200
    answer = await http.post(path, content=fits + b" ")
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(
        "ERR max request size exceeded. Limit: 2000000 bytes, Actual: 2000001 bytes. See https://"
    )


async def test_pipeline_of_300_vectors_is_written_whole(url: str):
    value = "[" + ",".join(["-0.04123456"] * 384) + "]"
    assert len(value) > 4500
    async with async_sdk(url) as redis:
        pipeline = redis.pipeline()
        for user in range(300):
            pipeline.set(f"user:{user}:embedding", value, ex=WEEK)
        assert await pipeline.exec() == [True] * 300
        assert await redis.dbsize() == 300
        assert await redis.get("user:299:embedding") == value


@pytest.mark.parametrize(
    ("path", "body", "error"),
    [
        ("/", b"", "ERR failed to parse request"),
        ("/", b"{", "ERR failed to parse request"),
        ("/", b"[" * 100_000, "ERR failed to parse request"),
        ("/", b'["SET", "\xff", "v"]', "ERR failed to parse request"),
        ("/", b"{}", "ERR expected JSON array"),
        ("/", b"[]", "ERR empty command"),
        ("/", b'["SET", "k", null]', "ERR null args are not supported"),
        ("/", b'["SET", "k", [1]]', "ERR unsupported arg type: list"),
        ("/", b'[""]', "ERR unknown command ''"),
        ("/", b'["GET"]', "ERR wrong number of arguments for 'get' command"),
        ("/pipeline", b"[]", "ERR empty pipeline request"),
        ("/pipeline", b'["GET", "k"]', "ERR expected JSON array"),
        ("/multi-exec", b'[["GET", "k"], []]', "ERR empty command"),
        ("/no/such", b"", "ERR unknown command 'no'"),
    ],
)
async def test_malformed_request_is_answered_400(
    http: httpx.AsyncClient, path: str, body: bytes, error: str
):
    answer = await http.post(path, content=body)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(error)


async def test_commands_may_stand_in_the_path(http: httpx.AsyncClient):
    assert (await http.get("/set/a%2Fb/v%20w/EX/100")).json() == {"result": "OK"}
    assert (await http.get("/get/a%2Fb")).json() == {"result": "v w"}
    assert (await http.post("/set/key?EX=100", content='{"snö": 1}')).json() == {"result": "OK"}
    assert (await http.get("/mget/key/none")).json() == {"result": ['{"snö": 1}', None]}
    assert (await http.get("/ttl/key")).json() == {"result": 100}


async def test_token_may_stand_in_the_query(anonymous: httpx.AsyncClient):
    answer = await anonymous.get(f"/echo/hello?_token={TOKEN}")
    assert answer.json() == {"result": "hello"}


async def test_every_answer_has_a_new_sync_token(http: httpx.AsyncClient):
    answers = [await http.post("/", json=["SET", "k", n]) for n in range(3)]
    assert len({answer.headers["Upstash-Sync-Token"] for answer in answers}) == 3


async def test_valkey_that_is_down_is_a_500_until_it_is_back():
    with Valkey() as valkey:
        upstash = Upstash(valkey.address, token=TOKEN)
        async with serve(upstash.app) as url, async_sdk(url) as redis:
            await redis.set("key", "value")
            valkey.stop()
            async with httpx.AsyncClient(timeout=5) as client:
                answer = await client.get(f"{url}/get/key?_token={TOKEN}")
            assert answer.status_code == 500
            assert "error" in answer.json()
            with pytest.raises(UpstashError, match="no answer from the server"):
                await redis.get("key")

            valkey.start()
            assert await redis.get("key") == "value"
        await upstash.close()


async def test_valkey_that_goes_down_in_mid_command_is_a_500():
    with Valkey() as valkey:
        upstash = Upstash(valkey.address, token=TOKEN)
        async with serve(upstash.app) as url, async_sdk(url) as redis:
            blocked = asyncio.create_task(redis.execute(["BLPOP", "nothing", 20]))
            for _ in range(500):
                if b"cmd=blpop" in await clients(valkey):
                    break
                await asyncio.sleep(0.01)
            valkey.stop()
            with pytest.raises(UpstashError, match="no answer from the server"):
                await blocked


async def clients(valkey: Valkey) -> bytes:
    [listed] = await execute(valkey.address, [["CLIENT", "LIST"]])
    assert isinstance(listed, bytes)
    return listed


async def test_command_that_leaves_the_protocol_is_a_500(http: httpx.AsyncClient):
    assert (await http.post("/", json=["HELLO", "3"])).status_code == 500
    assert (await http.post("/pipeline", json=[["QUIT"], ["PING"]])).status_code == 500
    assert (await http.post("/", json=["PING"])).json() == {"result": "PONG"}


async def test_requests_are_seen_with_their_commands(upstash: Upstash, url: str):
    async with async_sdk(url) as redis:
        await redis.set("key", 1.0)
        await redis.pipeline().get("key").expire("key", 60).exec()
    assert upstash.requests == [
        Request("/", [["SET", "key", "1"]], 17, 200),
        Request("/pipeline", [["GET", "key"], ["EXPIRE", "key", "60"]], 35, 200),
    ]


async def test_requests_kept_are_bounded_in_number(upstash: Upstash, http: httpx.AsyncClient):
    upstash.requests = [Request("/old", [], 0)] * 1000
    await http.post("/", json=["PING"])
    assert len(upstash.requests) == 1000
    assert upstash.requests[-1].commands == [["PING"]]


async def test_requests_kept_are_bounded_in_bytes(upstash: Upstash, http: httpx.AsyncClient):
    upstash.requests = [Request("/old", [], 30_000_000)] * 3
    await http.post("/", json=["PING"])
    assert [request.size for request in upstash.requests] == [30_000_000, 30_000_000, 8]


async def test_hook_sees_both_stages_around_the_execution(
    upstash: Upstash, http: httpx.AsyncClient, valkey: Valkey
):
    seen = []

    async def look(request: Request, stage: Stage) -> None:
        [held] = await execute(valkey.address, [["GET", "key"]])
        seen.append((stage, request.commands, request.status, held))

    upstash.on_request = look
    await http.post("/", json=["SET", "key", "value"])
    assert seen == [
        (Stage.ARRIVED, [["SET", "key", "value"]], None, None),
        (Stage.EXECUTED, [["SET", "key", "value"]], None, b"value"),
    ]


@pytest.mark.parametrize(
    ("refusal", "error"),
    [
        (Refuse(500, '{"error": "ERR internal"}'), UpstashError),
        (Refuse(429, '{"error": "ERR max requests limit exceeded"}'), UpstashError),
        (Refuse(401, '{"error": "WRONGPASS"}'), UpstashError),
        (Refuse(200, "<html>gateway</html>", "text/html"), ValueError),
        (Refuse(502, "", "text/plain"), ValueError),
    ],
    ids=["500", "429", "401", "garbage", "empty"],
)
async def test_hook_may_answer_instead(
    upstash: Upstash, url: str, valkey: Valkey, refusal: Refuse, error: type[Exception]
):
    async def refuse(_request: Request, _stage: Stage) -> None:
        raise refusal

    upstash.on_request = refuse
    async with async_sdk(url) as redis:
        with pytest.raises(error):
            await redis.set("key", "value")
        assert upstash.requests[-1].status == refusal.status
        assert await execute(valkey.address, [["EXISTS", "key"]]) == [0]

        upstash.on_request = None
        assert await redis.set("key", "value") is True


@pytest.mark.parametrize(("stage", "written"), [(Stage.ARRIVED, 0), (Stage.EXECUTED, 1)])
async def test_hook_may_cut_the_connection_before_or_after_the_execution(
    upstash: Upstash, url: str, valkey: Valkey, stage: Stage, written: int
):
    async def drop(_request: Request, now: Stage) -> None:
        if now is stage:
            raise Drop

    upstash.on_request = drop
    async with async_sdk(url) as redis:
        with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
            await redis.set("key", "value")
        assert upstash.requests[-1].status is None
        assert await execute(valkey.address, [["EXISTS", "key"]]) == [written]

        upstash.on_request = None
        assert await redis.get("key") == ("value" if written else None)


async def test_connection_that_is_cut_is_no_fault_of_the_server(
    upstash: Upstash, url: str, caplog: pytest.LogCaptureFixture
):
    async def drop(_request: Request, _stage: Stage) -> None:
        raise Drop

    upstash.on_request = drop
    async with async_sdk(url) as redis:
        with pytest.raises(httpx.RemoteProtocolError):
            await redis.ping()
    assert caplog.records == []


async def test_hook_that_hangs_holds_one_request_until_close(
    upstash: Upstash, url: str, http: httpx.AsyncClient
):
    hanging = asyncio.Event()

    async def hang(request: Request, _stage: Stage) -> None:
        if request.commands == [["GET", "hang"]]:
            hanging.set()
            await asyncio.Event().wait()

    upstash.on_request = hang
    async with async_sdk(url) as redis:
        held = asyncio.create_task(redis.get("hang"))
        await asyncio.wait_for(hanging.wait(), 5)
        assert (await http.post("/", json=["PING"])).json() == {"result": "PONG"}
        with pytest.raises(httpx.ReadTimeout):
            await http.post("/", json=["GET", "hang"], timeout=0.1)
        assert not held.done()

        await upstash.close()
        with pytest.raises(httpx.RemoteProtocolError):
            await held


async def test_client_that_goes_away_in_mid_body_is_forgotten(
    upstash: Upstash, url: str, http: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
):
    port = httpx.URL(url).port
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 100\r\n\r\n[")
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert (await http.post("/", json=["PING"])).json() == {"result": "PONG"}
    assert [request.commands for request in upstash.requests] == [[["PING"]]]
    assert caplog.records == []


async def test_info_tells_what_upstash_tells(http: httpx.AsyncClient):
    async def tell(*command: str) -> Any:
        return (await http.post("/", json=command)).json()["result"]

    await tell("SET", "there", "1")
    before = fields(await tell("INFO", "stats"))
    await tell("MGET", "there", "there", "nowhere")
    stats = await tell("INFO", "stats")
    assert stats.startswith("# Stats\r\n")
    counted = fields(stats)
    assert int(counted["keyspace_hits"]) - int(before["keyspace_hits"]) == 2
    assert int(counted["keyspace_misses"]) - int(before["keyspace_misses"]) == 1
    assert await tell("INFO", "persistence") == "# Persistence\r\n"
    whole = await tell("INFO")
    headings = [line for line in whole.split("\r\n") if line.startswith("#")]
    assert headings == ["# Server", "# Clients", "# Memory", "# Stats", "# Cluster", "# Keyspace"]
    assert counted.keys() <= fields(whole).keys()
    answer = await http.get("/info/stats")
    assert fields(answer.json()["result"]).keys() == counted.keys()


def fields(text: str) -> dict[str, str]:
    return dict(line.split(":", 1) for line in text.split("\r\n") if ":" in line)
