"""POST /api/actions/log: what is told of actions good and bad, and what the log then holds."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dev.stack import API_TOKEN
from lib.web import log
from lib.web.application import create
from tests.conftest import Start
from tests.web.conftest import APP_URL, SETTINGS, Services

ON_PLATFORMS = ["tables", "views"]

PATH = "/api/actions/log"
LONGEST = 1_048_576
TOKENS = {"API_TOKEN": "api-token,former-token", "ADMIN_TOKEN": "admin-token"}
BEARER = {"Authorization": "Bearer api-token"}

USER, POST, REC = UUID(int=1), UUID(int=11), UUID(int=21)
GOOD = {"user_id": str(USER), "post_id": str(POST), "action_type": "like_post"}
KNOWN = (
    "bookmark_post, comment_post, dislike_post, hide_post, like_post, share_post,"
    " unbookmark_post, unlike_post, view_post"
)
A_TIME = "a time as RFC 3339 spells it, with its offset"


def client(environ: Mapping[str, str] = SETTINGS) -> httpx.AsyncClient:
    application = create(lambda _: log.routes(environ | TOKENS))
    transport = httpx.ASGITransport(application, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url=APP_URL)


@pytest.fixture
async def http(
    connection: asyncpg.Connection, functions_url: str
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the function, over a database that has one user and one post."""
    await connection.execute("INSERT INTO users (id) VALUES ($1)", USER)
    await connection.execute("INSERT INTO posts (id) VALUES ($1)", POST)
    async with client(SETTINGS | {"DATABASE_URL": functions_url}) as opened:
        yield opened


async def send(http: httpx.AsyncClient, actions: Sequence[object]) -> dict[str, Any]:
    answer = await http.post(PATH, json={"actions": actions}, headers=BEARER)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def logged(connection: asyncpg.Connection) -> int:
    return await connection.fetchval("SELECT count(*) FROM action_log")


# Who may


STRANGERS = {
    "nothing": {},
    "no token": {"Authorization": "Bearer"},
    "another token": {"Authorization": "Bearer api-tokens"},
    "the tokens as they are set": {"Authorization": f"Bearer {TOKENS['API_TOKEN']}"},
    "the token that erases": {"Authorization": "Bearer admin-token"},
    "another kind": {"Authorization": "Basic api-token"},
    "another header": {"X-Authorization": "Bearer api-token"},
}


@pytest.mark.fault(27)
@pytest.mark.parametrize("name", STRANGERS)
async def test_stranger_is_told_one_thing_before_anything_is_read_or_opened(
    services: Services, name: str
):
    bodies = [json.dumps({"actions": [GOOD]}).encode(), b"{", b" " * (LONGEST + 1)]
    async with client(services.environ) as http:
        for body in bodies:
            answer = await http.post(f"{PATH}?x=1", content=body, headers=STRANGERS[name])
            assert (answer.status_code, answer.content) == (401, b'{"error":"unauthorized"}')
    assert services.connections == 0


@pytest.mark.parametrize("token", ["api-token", "former-token"])
async def test_either_token_opens(http: httpx.AsyncClient, token: str):
    headers = {"Authorization": f"Bearer {token}"}
    answer = await http.post(PATH, json={"actions": [GOOD]}, headers=headers)
    assert answer.status_code == 200


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_other_methods_do_nothing_and_are_told_which_does(services: Services, method: str):
    async with client(services.environ) as http:
        answer = await http.request(method, PATH, headers=BEARER)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")
    assert services.connections == 0


# The whole


ACTIONS = "a list of 1 to 1000"
WHOLE: Mapping[str, tuple[bytes, str, str]] = {
    "nothing": (b"", "body", "a JSON object"),
    "no JSON": (b'{"actions": [', "body", "a JSON object"),
    "no UTF-8": (b'{"actions": "\xff"}', "body", "a JSON object"),
    "half a surrogate": (b'{"actions": "\\ud800"}', "body", "a JSON object"),
    "depth": (b'{"actions":' + b"[" * 100_000, "body", "a JSON object"),
    "a list": (json.dumps([GOOD]).encode(), "body", "a JSON object"),
    "null": (b"null", "body", "a JSON object"),
    "no actions": (b"{}", "actions", ACTIONS),
    "empty actions": (b'{"actions": []}', "actions", ACTIONS),
    "too many": (json.dumps({"actions": [{}] * 1001}).encode(), "actions", ACTIONS),
    "actions that are null": (b'{"actions": null}', "actions", ACTIONS),
    "one action": (json.dumps({"actions": GOOD}).encode(), "actions", ACTIONS),
    "another field": (json.dumps({"actions": [GOOD], "x": 1}).encode(), "x", "one of actions"),
}


@pytest.mark.parametrize("name", WHOLE)
async def test_body_that_is_none_is_refused_as_a_whole(services: Services, name: str):
    body, field, rule = WHOLE[name]
    async with client(services.environ) as http:
        answer = await http.post(PATH, content=body, headers=BEARER)
    assert answer.status_code == 400
    assert answer.json() == {"error": "invalid", "field": field, "rule": rule}
    assert services.connections == 0


async def test_query_is_refused(services: Services):
    async with client(services.environ) as http:
        answer = await http.post(f"{PATH}?dry=1", json={"actions": [GOOD]}, headers=BEARER)
    assert (answer.status_code, answer.json()["field"]) == (400, "dry")
    assert services.connections == 0


async def chunks(size: int) -> AsyncIterator[bytes]:
    for _ in range(size // 1024):
        yield b" " * 1024
    yield b" " * (size % 1024)


@pytest.mark.fault(23)
@pytest.mark.parametrize("size", [LONGEST + 1, 10 * LONGEST])
async def test_body_that_is_too_long_is_refused_however_it_comes(services: Services, size: int):
    async with client(services.environ) as http:
        for content in (b" " * size, chunks(size)):
            answer = await http.post(PATH, content=content, headers=BEARER)
            assert (answer.status_code, answer.content) == (413, b'{"error":"too large"}')
    assert services.connections == 0


async def test_longest_body_of_as_many_actions_as_there_may_be_is_logged(
    http: httpx.AsyncClient, connection: asyncpg.Connection
):
    body = json.dumps({"actions": [GOOD] * 1000}).encode()
    answer = await http.post(PATH, content=body.ljust(LONGEST), headers=BEARER)
    assert answer.json() == {"stored": 1000, "repeated": 0, "errors": []}
    assert await logged(connection) == 1000


async def test_database_that_is_down_is_answered_with_a_time_to_come_again(services: Services):
    services.proxy.refuse = True
    async with client(services.environ) as http:
        answer = await http.post(PATH, json={"actions": [GOOD]}, headers=BEARER)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "60")
    assert answer.content == b'{"error":"unavailable"}'
    assert services.proxy.connections > 0


async def test_nothing_to_log_needs_no_database(services: Services):
    async with client(services.environ) as http:
        assert len((await send(http, [7, {}]))["errors"]) == 2
    assert services.connections == 0


# One by one


NO_UUIDS = ["7", "", None, 7, str(USER).replace("-", ""), f"{{{USER}}}", f"{USER}0", [str(USER)]]
FIELDS = "one of action_type, created_at, event_id, post_id, rec_id, user_id"
EVENT = "1 to 128 printable characters"
BAD: list[tuple[object, str, str]] = [
    *((value, "action", "an object") for value in (None, 7, "x", True, [], [GOOD])),
    *((GOOD | {"user_id": value}, "user_id", "a UUID") for value in NO_UUIDS),
    *((GOOD | {"post_id": value}, "post_id", "a UUID") for value in NO_UUIDS),
    *((GOOD | {"rec_id": value}, "rec_id", "a UUID") for value in NO_UUIDS),
    *((GOOD | {"action_type": value}, "action_type", "text") for value in (None, 7, ["like_post"])),
    *(
        (GOOD | {"action_type": value}, "action_type", f"one of {KNOWN}")
        for value in ("", "like", "LIKE_POST", "like_post ", "report_post")
    ),
    *((GOOD | {"event_id": value}, "event_id", "text") for value in (None, 7, ["x"], True)),
    *(
        (GOOD | {"event_id": value}, "event_id", EVENT)
        for value in ("", "x" * 129, "a\nb", "a\0", "\u200b")
    ),
    *(
        (GOOD | {"created_at": value}, "created_at", A_TIME)
        for value in (
            *(None, 7, "", "now", "2026-01-01", "2026-01-01T00:00:00", "2026-13-01T00:00:00Z"),
            *("2026-01-01 00:00:00Z", "2026-01-01T25:00:00Z", "1767225600"),
        )
    ),
    (GOOD | {"created_at": "1969-12-31T23:59:59Z"}, "created_at", "a time from 1970 on"),
    (GOOD | {"created_at": "0001-01-01T00:00:00+14:00"}, "created_at", A_TIME),
    (GOOD | {"created_at": "9999-12-31T23:59:59-14:00"}, "created_at", A_TIME),
    (GOOD | {"created_at": "9999-12-31T23:59:59.999999Z"}, "created_at", "no later than now"),
    (GOOD | {"created_at": "2999-01-01T00:00:00Z"}, "created_at", "no later than now"),
    (GOOD | {"weight": 3}, "weight", FIELDS),
    (GOOD | {"user_id": str(uuid4())}, "user_id", "the id of a user"),
    (GOOD | {"post_id": str(uuid4())}, "post_id", "the id of a post"),
    ({}, "user_id", "a UUID"),
]


async def test_bad_action_is_told_by_place_field_and_rule_and_all_others_are_logged(
    http: httpx.AsyncClient, connection: asyncpg.Connection
):
    actions = [part for bad, _, _ in BAD for part in (bad, GOOD)]
    assert await send(http, actions) == {
        "stored": len(BAD),
        "repeated": 0,
        "errors": [
            {"index": 2 * place, "field": field, "rule": rule}
            for place, (_, field, rule) in enumerate(BAD)
        ],
    }
    assert await logged(connection) == len(BAD)


GOODS = [
    {},
    {"created_at": "2026-01-01T00:00:00Z"},
    {"created_at": "2026-01-01T02:00:00.123456+02:00"},
    {"created_at": "1970-01-01T00:00:00Z"},
    {"event_id": "x" * 128},
    {"event_id": "Grüße, 世界"},
    {"rec_id": str(REC)},
    {"user_id": str(USER).upper()},
    *({"action_type": kind} for kind in KNOWN.split(", ")),
]


async def test_every_good_action_is_logged(http: httpx.AsyncClient, connection: asyncpg.Connection):
    found = await send(http, [GOOD | more for more in GOODS])
    assert found == {"stored": len(GOODS), "repeated": 0, "errors": []}
    kinds = await connection.fetch("SELECT action_type FROM action_log")
    wanted = Counter((GOOD | more)["action_type"] for more in GOODS)
    assert Counter(row[0] for row in kinds) == wanted


async def test_time_to_come_is_judged_by_the_database_s_clock(
    http: httpx.AsyncClient, connection: asyncpg.Connection
):
    """Its own clock is what counts, whatever this process has for a time."""
    now = await connection.fetchval("SELECT clock_timestamp()")
    minute = timedelta(minutes=1)
    found = await send(
        http, [GOOD | {"created_at": (now + by).isoformat()} for by in (-minute, minute)]
    )
    assert (found["stored"], [error["index"] for error in found["errors"]]) == (1, [1])
    assert await connection.fetchval("SELECT created_at FROM action_log") == now - minute
    rows = await connection.fetch("SELECT user_id, reason FROM embedding.due")
    assert [tuple(row) for row in rows] == [(USER, "late_action")]


async def test_action_from_an_answer_is_remembered_as_its_response(
    http: httpx.AsyncClient, connection: asyncpg.Connection
):
    await connection.execute(
        "INSERT INTO embedding.showings VALUES ($1, $2, 'm', now())", REC, USER
    )
    await connection.execute("INSERT INTO embedding.impressions VALUES ($1, $2, 0)", REC, POST)
    for rec_id in (REC, uuid4()):
        assert (await send(http, [GOOD | {"rec_id": str(rec_id)}]))["stored"] == 1
    rows = await connection.fetch("SELECT rec_id, post_id, action_type FROM embedding.responses")
    assert [tuple(row) for row in rows] == [(REC, POST, "like_post")]


# Once


@dataclass(frozen=True)
class Sent:
    """An action of a call: a good one of some post, or one of a kind that is not for the log."""

    event: int | None
    kind: str
    fault: str | None


FAULTS = {
    "user": {"user_id": str(UUID(int=404))},
    "post": {"post_id": str(UUID(int=404))},
    "ahead": {"created_at": "2999-01-01T00:00:00Z"},
    "type": {"action_type": "report_post"},
    "field": {"x": 1},
}
SENT = st.builds(
    Sent,
    st.none() | st.integers(0, 5),
    st.sampled_from(["like_post", "view_post", "unlike_post"]),
    st.none() | st.sampled_from(sorted(FAULTS)),
)
CALLS = st.lists(st.lists(SENT, min_size=1, max_size=8), min_size=1, max_size=4)
"""Calls that are made at once, each of some actions."""

NUMBERS: Iterator[int] = iter(range(10**9))


@given(turns=st.lists(CALLS, min_size=1, max_size=3))
@settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
async def test_whatever_comes_however_often_each_valid_event_is_logged_once(
    http: httpx.AsyncClient, connection: asyncpg.Connection, turns: list[list[list[Sent]]]
):
    """Each example is of a post of its own, and its ids are of nobody else's."""
    post, example = uuid4(), next(NUMBERS)
    await connection.execute("INSERT INTO posts (id) VALUES ($1)", post)

    def spelt(sent: Sent) -> dict[str, object]:
        event = {} if sent.event is None else {"event_id": f"{example}-{sent.event}"}
        fault = FAULTS[sent.fault] if sent.fault else {}
        return GOOD | {"post_id": str(post), "action_type": sent.kind} | event | fault

    answers: list[tuple[list[Sent], dict[str, Any]]] = []
    for calls in turns:
        tasks = [send(http, [spelt(sent) for sent in call]) for call in calls]
        answers += zip(calls, await asyncio.gather(*tasks), strict=True)

    sent = [one for call, _ in answers for one in call]
    good = [one for one in sent if one.fault is None]
    events = {one.event for one in good} - {None}
    without = Counter(one.kind for one in good if one.event is None)
    rows = await connection.fetch("SELECT action_type FROM action_log WHERE post_id = $1", post)
    kinds = Counter(row[0] for row in rows)
    assert kinds.total() == without.total() + len(events)
    assert without <= kinds
    by_event = kinds - without
    for kind in by_event:
        possible = {one.event for one in good if one.kind == kind and one.event is not None}
        assert by_event[kind] <= len(possible)

    for call, answer in answers:
        wrong = [place for place, one in enumerate(call) if one.fault]
        assert [error["index"] for error in answer["errors"]] == wrong
        assert answer["stored"] + answer["repeated"] + len(wrong) == len(call)
    assert sum(answer["stored"] for _, answer in answers) == kinds.total()


# As it is deployed


async def test_function_answers_as_deployed_and_logs_counts_alone(
    start: Start, connection: asyncpg.Connection
):
    await connection.execute("INSERT INTO users (id) VALUES ($1)", USER)
    await connection.execute("INSERT INTO posts (id) VALUES ($1)", POST)
    stack = await start()
    at = datetime.now(UTC) - timedelta(days=1)
    actions = [GOOD | {"created_at": at.isoformat(), "event_id": "once"}] * 2 + [GOOD | {"x": 1}]
    async with httpx.AsyncClient(base_url=stack.app_url, timeout=30) as http:
        url = "/api/actions/log"
        assert (await http.post(url, json={"actions": actions})).status_code == 401
        headers = {"Authorization": f"Bearer {API_TOKEN}"}
        answer = await http.post(url, json={"actions": actions}, headers=headers)
    assert (answer.status_code, answer.json()) == (
        200,
        {"stored": 1, "repeated": 1, "errors": [{"index": 2, "field": "x", "rule": FIELDS}]},
    )
    said = "\n".join(stack.functions.logs)
    assert '{"event":"logged","stored":1,"repeated":1,"errors":1}' in said
    assert str(USER) not in said
    assert API_TOKEN not in said
