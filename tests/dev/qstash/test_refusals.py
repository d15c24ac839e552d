"""What the stand-in's API refuses, and how."""

import json

import pytest
from qstash.errors import QStashError

from dev.qstash import DEV_TOKEN, Broker
from tests.dev.qstash.stack import async_sdk, direct, open_port

THERE = "http://127.0.0.1:9/in"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v2/publish/http://127.0.0.1/"),
        ("POST", "/v2/batch"),
        ("GET", "/v2/messages/msg_1"),
        ("GET", "/v2/schedules"),
        ("GET", "/v2/dlq"),
        ("GET", "/v2/keys"),
        ("GET", "/v2/events"),
        ("GET", "/v2/flowControl/k"),
        ("GET", "/nowhere"),
    ],
)
@pytest.mark.parametrize("token", [None, "", "Bearer ", "Bearer wrong", DEV_TOKEN, "Bearer \xff"])
async def test_request_without_the_token_gets_401(method: str, path: str, token: str | None):
    broker = Broker()
    async with direct(broker, token) as http:
        answer = await http.request(method, path)
    assert (answer.status_code, list(answer.json())) == (401, ["error"])
    assert broker.messages == []


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nowhere", 404), ("GET", "/v2/dlq/retry/x/", 404), ("PUT", "/v2/keys", 405)],
)
async def test_unknown_path_or_method_is_an_error_in_json(method: str, path: str, status: int):
    async with direct(Broker()) as http:
        answer = await http.request(method, path)
    assert (answer.status_code, list(answer.json())) == (status, ["error"])


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("Deduplication-Id", "run:1", "DeduplicationId cannot contain ':'"),
        ("Retries", "-1", "Upstash-Retries"),
        ("Retries", "101", "at most 100 retries"),
        ("Retry-Delay", "retried.real", "expected numbers"),
        ("Retry-Delay", "1000 / retried", "cannot evaluate"),
        ("Retry-Delay", "1000 - 900 * retried", "a delay of 0 or more"),
        ("Delay", "soon", "duration"),
        ("Timeout", "", "duration"),
        ("Not-Before", "tomorrow", "unix seconds"),
        ("Method", "BREW", "Upstash-Method"),
        ("Callback", "example", "invalid scheme"),
        ("Failure-Callback", "ftp://example", "invalid scheme"),
        ("Flow-Control-Key", "k", "Upstash-Flow-Control-Value"),
        ("Flow-Control-Value", "parallelism=1", "Upstash-Flow-Control-Key"),
    ],
)
async def test_publish_refuses_a_malformed_header(name: str, value: str, expected: str):
    broker = Broker()
    async with direct(broker) as http:
        answer = await http.post(f"/v2/publish/{THERE}", headers={f"Upstash-{name}": value})
    assert answer.status_code == 400
    assert expected in answer.json()["error"]
    assert broker.messages == []


async def test_publish_refuses_a_body_over_a_megabyte():
    broker = Broker()
    async with direct(broker) as http:
        most = await http.post(f"/v2/publish/{THERE}", content=b"x" * 1024 * 1024)
        more = await http.post(f"/v2/publish/{THERE}", content=b"x" * (1024 * 1024 + 1))
    assert (most.status_code, more.status_code, len(broker.messages)) == (200, 413, 1)


async def test_refusal_reaches_the_sdk_as_its_own_error():
    async with open_port() as port:
        port.fresh()
        async with async_sdk(port.url) as sdk:
            with pytest.raises(QStashError, match=r"status: 400.*cannot contain ':'"):
                await sdk.client.message.publish(url=THERE, deduplication_id="a:b")
        async with async_sdk(port.url, "wrong") as sdk:
            with pytest.raises(QStashError, match=r"status: 401"):
                await sdk.client.schedule.list()


@pytest.mark.parametrize(
    "destination",
    [
        "",
        "example.org",
        "ftp://example.org",
        "https%3A%2F%2Fexample.org",
        "http://",
        "http:///path",
        "http://host:port/",
        "http://ex\xe4mple.org/",
        "http://example.org/a b",
        "http://[::1/",
        "http://example.org/" + "x" * 4096,
    ],
)
async def test_destination_that_is_no_url_gets_400(destination: str):
    async with direct(Broker()) as http:
        message = json.dumps([{"destination": destination, "body": "x"}])
        answer = await http.post("/v2/batch", content=message)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("invalid destination url: ")


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "{}",
        "[]",
        "[1]",
        '[{"destination": 1}]',
        f'[{{"destination": "{THERE}", "body": 1}}]',
        f'[{{"destination": "{THERE}", "headers": ["a"]}}]',
        f'[{{"destination": "{THERE}", "headers": {{"Upstash-Retries": 1}}}}]',
        f'[{{"destination": "{THERE}", "headers": {{"Upstash-Forward-A": "\xe4"}}}}]',
        f'[{{"destination": "{THERE}", "headers": {{"Upstash-Forward-A": "a\\nb: c"}}}}]',
        f'[{{"destination": "{THERE}", "headers": {{"Upstash-Forward-A b": "c"}}}}]',
        "[" * 99_999,
    ],
    ids=range(13),
)
async def test_batch_that_is_no_list_of_messages_gets_400(content: str):
    async with direct(Broker()) as http:
        answer = await http.post("/v2/batch", content=content)
    assert (answer.status_code, list(answer.json())) == (400, ["error"])


async def test_batch_with_one_malformed_message_stores_none():
    broker = Broker()
    async with direct(broker) as http:
        content = json.dumps([{"destination": THERE}, {"destination": "nowhere"}])
        answer = await http.post("/v2/batch", content=content)
    assert (answer.status_code, broker.messages) == (400, [])


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("Cron", "", "cron"),
        ("Cron", "every day", "cron"),
        ("Cron", "* * * * * *", "5 fields"),
        ("Cron", "61 * * * *", "cron"),
        ("Cron", "CRON_TZ=Nowhere/City 0 * * * *", "time zone"),
        ("Cron", "CRON_TZ= 0 * * * *", "time zone"),
        ("Schedule-Id", "user:embeddings", "schedule id"),
        ("Schedule-Id", "x" * 257, "schedule id"),
    ],
)
async def test_schedule_refuses_a_malformed_header(name: str, value: str, expected: str):
    async with direct(Broker()) as http:
        headers = {"Upstash-Cron": "* * * * *"} | {f"Upstash-{name}": value}
        answer = await http.post(f"/v2/schedules/{THERE}", headers=headers)
        assert answer.status_code == 400
        assert expected in answer.json()["error"]
        assert (await http.get("/v2/schedules")).json() == []


@pytest.mark.parametrize("action", ["pause", "resume"])
@pytest.mark.parametrize("method", ["POST", "PATCH"])
async def test_schedule_is_paused_and_resumed_by_either_method(method: str, action: str):
    async with direct(Broker()) as http:
        headers = {"Upstash-Cron": "* * * * *", "Upstash-Schedule-Id": "s"}
        await http.post(f"/v2/schedules/{THERE}", headers=headers)
        await http.post(f"/v2/schedules/s/{'resume' if action == 'pause' else 'pause'}")
        assert (await http.request(method, f"/v2/schedules/s/{action}")).status_code == 200
        assert (await http.get("/v2/schedules/s")).json()["isPaused"] is (action == "pause")


@pytest.mark.parametrize("query", ["count=x", "cursor=-1", "fromDate=1e3", "toDate=" + "9" * 16])
@pytest.mark.parametrize("path", ["dlq", "events"])
async def test_list_refuses_a_malformed_number(path: str, query: str):
    broker = Broker()
    async with direct(broker) as http:
        await http.post(f"/v2/publish/{THERE}", headers={"Upstash-Retries": "0"})
        await broker.drain()
        answer = await http.get(f"/v2/{path}?{query}")
    assert (answer.status_code, list(answer.json())) == (400, ["error"])


async def test_pin_refuses_what_limits_nothing():
    async with direct(Broker()) as http:
        for query in "", "period=3", "parallelism=0", "colour=red":
            answer = await http.post(f"/v2/flowControl/k/pin?{query}")
            assert answer.status_code == 400
        assert (await http.post("/v2/flowControl/k/explode")).status_code == 404
