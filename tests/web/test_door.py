import asyncio
import base64
import gzip
import json
import time
from collections.abc import AsyncIterator, Mapping

import httpx
import jwt
import pytest

from dev.qstash.signature import sign
from dev.stack import ROOT
from lib.errors import SettingError
from lib.settings import DEVELOPMENT_KEYS
from tests.fast_loop import FastLoop
from tests.tally import Tally
from tests.web.conftest import (
    APP_URL,
    CURRENT,
    FAILED,
    FUNCTIONS,
    NEXT,
    PROCESS,
    SETTINGS,
    Services,
    client,
    signed,
)

LONGEST = 65_536
BODY = b"{}"
NEWEST = "sig_newest".ljust(32, "0")
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
UNAUTHORIZED = b'{"error":"unauthorized"}'


def token(path: str, **changed: object) -> str:
    """Return the token of a start message, with something about it changed."""
    claims = {"url": APP_URL + path, "body": BODY, "key": CURRENT, "now": time.time()} | changed
    return sign(**claims)


def relabelled(good: str, algorithm: str) -> str:
    """Return a token of the same claims that is signed, or not, in another way."""
    claims = jwt.decode(good, options={"verify_signature": False})
    return jwt.encode(claims, None if algorithm == "none" else CURRENT.ljust(64, "0"), algorithm)


def strangers(path: str, body: bytes = BODY) -> Mapping[str, dict[str, str]]:
    """Return headers with each of which a message is not QStash's, or not this one."""
    good = token(path, body=body)
    head, claims, signature = good.split(".")
    other = FAILED if path == PROCESS else PROCESS
    tokens = {
        "an empty token": "",
        "garbage": "garbage",
        "SQL": "'; DROP TABLE users; --",
        "dots": "..",
        "a token of a megabyte": "a" * 1_000_000,
        "no signature": f"{head}.{claims}.",
        "no algorithm": relabelled(good, "none"),
        "another algorithm": relabelled(good, "HS512"),
        "another signature": f"{head}.{claims}.{signature[::-1]}",
        "another key": token(path, body=body, key="sig_stranger".ljust(32, "0")),
        "another body": token(path, body=body + b" "),
        "another host": token(path, body=body, url=f"https://evil.example{path}"),
        "a preview's host": token(path, body=body, url=f"https://app-git-main.example{path}"),
        "a port": token(path, body=body, url=f"{APP_URL}:443{path}"),
        "capitals": token(path, body=body, url=f"{APP_URL.upper()}{path}"),
        "no encryption": token(path, body=body, url=f"http://app.example{path}"),
        "a trailing slash": token(path, body=body, url=f"{APP_URL}{path}/"),
        "a query": token(path, body=body, url=f"{APP_URL}{path}?x=1"),
        "the other function": token(path, body=body, url=APP_URL + other),
        "an old one": token(path, body=body, now=time.time() - 400),
        "one to come": token(path, body=body, now=time.time() + 400),
        "two of them": f"{good},{good}",
    }
    return {
        "nothing": {},
        "a bearer token": {"Authorization": f"Bearer {good}"},
        "another header": {"Signature": good},
        **{name: {"Upstash-Signature": wrong} for name, wrong in tokens.items()},
        "a host that it was signed for": {
            "Upstash-Signature": tokens["another host"],
            "Host": "evil.example",
            "X-Forwarded-Host": "evil.example",
            "X-Forwarded-Proto": "https",
            "Forwarded": "host=evil.example;proto=https",
        },
    }


def reported(message: bytes) -> bytes:
    """Return what QStash would say of a message that it gave up."""
    return json.dumps({"sourceBody": base64.b64encode(message).decode(), "status": 503}).encode()


RUN = "6f2b3c8e-8d6f-4a57-9b0a-0d3a9e8f1c11"
KINDS = {
    "start": BODY,
    "page": f'{{"run":"{RUN}","page":0}}'.encode(),
    "snapshot": f'{{"run":"{RUN}","page":0,"job":"snapshot"}}'.encode(),
}
MESSAGES = {
    PROCESS: {"nothing": b"", **KINDS},
    FAILED: {name: reported(message) for name, message in KINDS.items()},
}
SIGNED = [
    pytest.param(path, body, id=f"{path.rpartition('/')[2]}-{name}")
    for path, messages in MESSAGES.items()
    for name, body in messages.items()
]
"""Each message that each signed route takes: path, body."""


@pytest.mark.fault(18, 22, 24)
@pytest.mark.parametrize(("path", "body"), SIGNED)
async def test_stranger_is_told_one_thing_and_nothing_is_opened(
    services: Services, tally: Tally, path: str, body: bytes
):
    async with client(path, services.environ) as http:
        for name, headers in strangers(path, body).items():
            answer = await http.post(path, content=body, headers=headers)
            assert (answer.status_code, answer.content) == (401, UNAUTHORIZED), name
            assert "upstash-nonretryable-error" not in answer.headers
            tally.tried += 1
    assert services.connections == 0


@pytest.mark.fault(20, 22, 24)
@pytest.mark.parametrize(("path", "body"), SIGNED)
async def test_genuine_message_is_a_stranger_s_where_the_settings_are_another_deployment_s(
    services: Services, tally: Tally, path: str, body: bytes
):
    others = [
        {"QSTASH_CURRENT_SIGNING_KEY": NEWEST, "QSTASH_NEXT_SIGNING_KEY": NEWEST},
        {"QSTASH_CURRENT_SIGNING_KEY": NEXT, "QSTASH_NEXT_SIGNING_KEY": NEWEST},
        {"QSTASH_CURRENT_SIGNING_KEY": f"{CURRENT[:-1]}1"},
        {"QSTASH_CURRENT_SIGNING_KEY": f"{CURRENT}0"},
        {"APP_URL": "https://other.example"},
        {"APP_URL": "http://app.example"},
        {"APP_URL": f"{APP_URL}:443"},
        {"APP_URL": "https://APP.example"},
        {"APP_URL": "", "VERCEL_PROJECT_PRODUCTION_URL": "other.example"},
    ]
    for other in others:
        async with client(path, services.environ | other) as http:
            answer = await http.post(path, content=body, headers=signed(path, body))
        assert (answer.status_code, answer.content) == (401, UNAUTHORIZED), other
        tally.tried += 1
    assert services.connections == 0


def test_every_signed_route_is_among_them():
    doors = {file.stem for file in (ROOT / "lib/web").glob("*.py") if " Door(" in file.read_text()}
    assert doors == {path.rpartition("/")[2].replace("-", "_") for path in MESSAGES}


@pytest.mark.fault(20)
@pytest.mark.parametrize("key", [CURRENT, NEXT], ids=["current", "next"])
@pytest.mark.parametrize("path", FUNCTIONS)
async def test_either_key_opens(path: str, key: str):
    async with client(path) as http:
        answer = await http.post(path, content=b"[]", headers=signed(path, b"[]", key))
    assert answer.status_code == 489


@pytest.mark.fault(20)
@pytest.mark.parametrize("path", FUNCTIONS)
@pytest.mark.parametrize(
    ("current", "following", "opens"),
    [
        (CURRENT, NEXT, {CURRENT, NEXT}),
        (NEXT, CURRENT, {CURRENT, NEXT}),
        (NEXT, NEWEST, {NEXT, NEWEST}),
        (NEWEST, NEWEST, {NEWEST}),
    ],
    ids=["before", "the other way round", "rotated", "rotated twice"],
)
async def test_after_a_rotation_the_old_key_opens_nothing(
    services: Services, path: str, current: str, following: str, opens: set[str]
):
    keys = {"QSTASH_CURRENT_SIGNING_KEY": current, "QSTASH_NEXT_SIGNING_KEY": following}
    async with client(path, services.environ | keys) as http:
        for key in (CURRENT, NEXT, NEWEST):
            answer = await http.post(path, content=b"[]", headers=signed(path, b"[]", key))
            assert answer.status_code == (489 if key in opens else 401)
    assert services.connections == 0


@pytest.mark.fault(20)
@pytest.mark.parametrize("name", ["QSTASH_CURRENT_SIGNING_KEY", "QSTASH_NEXT_SIGNING_KEY"])
@pytest.mark.parametrize("key", sorted(DEVELOPMENT_KEYS))
@pytest.mark.parametrize("path", FUNCTIONS)
def test_function_with_a_key_that_everybody_knows_does_not_start_in_production(
    path: str, name: str, key: str
):
    environ = SETTINGS | {name: key}
    assert FUNCTIONS[path](environ | {"VERCEL_ENV": "development"})
    with pytest.raises(SettingError, match="must be your own") as refused:
        FUNCTIONS[path](environ | {"VERCEL_ENV": "production"})
    assert key not in str(refused.value)


@pytest.mark.fault(22)
async def test_url_is_the_configured_one_whatever_the_headers_say():
    headers = {"Host": "other.example", "X-Forwarded-Host": "other.example"}
    async with client(PROCESS) as http:
        answer = await http.post(PROCESS, content=b"[]", headers=signed(PROCESS, b"[]") | headers)
    assert answer.status_code == 489


@pytest.mark.fault(21)
@pytest.mark.parametrize("path", FUNCTIONS)
async def test_body_is_checked_byte_for_byte(services: Services, path: str):
    body = b'{"page":0}'
    headers = signed(path, body)
    async with client(path, services.environ) as http:
        for bit in range(8 * len(body)):
            flipped = bytearray(body)
            flipped[bit // 8] ^= 1 << bit % 8
            answer = await http.post(path, content=bytes(flipped), headers=headers)
            assert answer.status_code == 401
        for other in (b"", body + b"\n", b" " + body, body * 2, BYTE_ORDER_MARK + body):
            assert (await http.post(path, content=other, headers=headers)).status_code == 401
        for encoding in ("utf-16", "utf-32"):
            other, told = body.decode().encode(encoding), {"Content-Type": f"text/{encoding}"}
            answer = await http.post(path, content=other, headers=headers | told)
            assert answer.status_code == 401
        told = {"Content-Encoding": "gzip"}
        answer = await http.post(path, content=gzip.compress(body), headers=headers | told)
        assert answer.status_code == 401
    assert services.connections == 0


@pytest.mark.fault(23)
@pytest.mark.parametrize("size", [LONGEST + 1, 10 * LONGEST])
@pytest.mark.parametrize("path", FUNCTIONS)
async def test_body_that_is_too_long_is_refused_though_it_is_signed(
    services: Services, path: str, size: int
):
    body = b" " * size
    async with client(path, services.environ) as http:
        answer = await http.post(path, content=body, headers=signed(path, body))
        assert (answer.status_code, answer.content) == (413, b'{"error":"too large"}')
    assert services.connections == 0


@pytest.mark.fault(23)
async def test_longest_body_is_read():
    body = b" " * LONGEST
    async with client(PROCESS) as http:
        answer = await http.post(PROCESS, content=body, headers=signed(PROCESS, body))
    assert answer.status_code == 489


@pytest.mark.fault(23)
@pytest.mark.parametrize("chunk", [1024, 60_000, 1_000_000])
async def test_body_without_end_is_read_to_its_cap(chunk: int):
    sent = 0

    async def without_end() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += chunk
            yield b"x" * chunk

    async with client(PROCESS) as http, asyncio.timeout(10):
        answer = await http.post(PROCESS, content=without_end(), headers=signed(PROCESS, BODY))
    assert answer.status_code == 413
    assert sent <= LONGEST + chunk


@pytest.mark.fault(23)
async def test_body_of_a_stranger_without_a_token_is_not_read():
    async def unread() -> AsyncIterator[bytes]:
        pytest.fail("it was read")
        yield b""

    async with client(PROCESS) as http:
        assert (await http.post(PROCESS, content=unread())).status_code == 401


async def never() -> AsyncIterator[bytes]:
    await asyncio.Event().wait()
    yield b""


async def drop_by_drop() -> AsyncIterator[bytes]:
    while True:
        await asyncio.sleep(1)
        yield b" "


@pytest.mark.fault(23)
@pytest.mark.parametrize("body", [never, drop_by_drop])
def test_body_that_takes_for_ever_is_given_up_after_ten_seconds(body: object):
    async def send() -> httpx.Response:
        begun = asyncio.get_running_loop().time()
        async with client(PROCESS) as http:
            answer = await http.post(PROCESS, content=body(), headers=signed(PROCESS, BODY))
        assert 10 <= asyncio.get_running_loop().time() - begun < 30
        return answer

    with asyncio.Runner(loop_factory=FastLoop) as runner:
        answer = runner.run(send())
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "60")


MALFORMED = {
    "not JSON": b"{",
    "not UTF-8": b"\xff",
    "byte order mark": BYTE_ORDER_MARK + b"{}",
    "array": b"[]",
    "null": b"null",
    "text": b'"start"',
    "nested without end": b"[" * 30_000,
    "not a number": b'{"run": NaN}',
    "digits without end": b'{"page": ' + b"9" * 20_000 + b"}",
}
PAGES = {
    "no page": {"run": "6f2b3c8e-8d6f-4a57-9b0a-0d3a9e8f1c11"},
    "no run": {"page": 0},
    "run that is no UUID": {"run": "7", "page": 0},
    "run in capitals": {"run": "6F2B3C8E-8D6F-4A57-9B0A-0D3A9E8F1C11", "page": 0},
    "page that is true": {"run": "6f2b3c8e-8d6f-4a57-9b0a-0d3a9e8f1c11", "page": True},
    "page that is a fraction": {"run": "6f2b3c8e-8d6f-4a57-9b0a-0d3a9e8f1c11", "page": 1.0},
    "page below the first": {"run": "6f2b3c8e-8d6f-4a57-9b0a-0d3a9e8f1c11", "page": -1},
    "page out of range": {"run": "6f2b3c8e-8d6f-4a57-9b0a-0d3a9e8f1c11", "page": 2**31},
    "field of nobody's": {"run": "6f2b3c8e-8d6f-4a57-9b0a-0d3a9e8f1c11", "page": 0, "x": 1},
}
CALLBACKS = {
    "source that is no base64": {"sourceBody": "?"},
    "source that is no message": {"sourceBody": "W10=", "status": 500},
    "status that is text": {"sourceBody": "e30=", "status": "500"},
}
CASES = {
    PROCESS: MALFORMED | {name: json.dumps(fields).encode() for name, fields in PAGES.items()},
    FAILED: MALFORMED
    | {name: json.dumps(fields).encode() for name, fields in CALLBACKS.items()}
    | {"nothing": b""},
}


@pytest.mark.fault(25)
@pytest.mark.parametrize("path", FUNCTIONS)
async def test_signed_message_that_can_never_work_is_not_to_be_sent_again(
    services: Services, path: str
):
    async with client(path, services.environ) as http:
        for name, body in CASES[path].items():
            answer = await http.post(path, content=body, headers=signed(path, body))
            assert (answer.status_code, answer.content) == (489, b'{"error":"malformed"}'), name
            assert answer.headers["Upstash-NonRetryable-Error"] == "true"
    assert services.connections == 0


async def test_tick_that_was_given_up_is_noted_and_nothing_is_opened(services: Services):
    body = MESSAGES[FAILED]["start"]
    async with client(FAILED, services.environ) as http:
        answer = await http.post(FAILED, content=body, headers=signed(FAILED, body))
    assert (answer.status_code, answer.json()) == (200, {"status": "noted"})
    assert services.connections == 0


@pytest.mark.parametrize("path", FUNCTIONS)
async def test_database_that_refuses_is_answered_with_a_time_to_come_again(
    services: Services, path: str
):
    services.proxy.refuse = True
    body = MESSAGES[path]["page"]
    async with client(path, services.environ) as http:
        answer = await http.post(path, content=body, headers=signed(path, body))
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "60")
    assert answer.content == b'{"error":"unavailable"}'
    assert services.proxy.connections > 0
