"""POST /api/impressions: what feeds built elsewhere have shown."""

import json
from collections.abc import AsyncIterator, Mapping
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest

from dev.stack import API_TOKEN
from lib.experiment.sampling import sampled
from lib.store.erasures import erase
from lib.web import impressions
from lib.web.application import create
from tests.conftest import Start
from tests.web.conftest import APP_URL, SETTINGS, Services

ON_PLATFORMS = ["tables", "views"]

PATH = "/api/impressions"
LONGEST = 65_536
TOKENS = {"API_TOKEN": "api-token", "ADMIN_TOKEN": "admin-token"}
BEARER = {"Authorization": "Bearer api-token"}
USER, OTHER, REC = UUID(int=1), UUID(int=2), UUID(int=21)
POSTS = [str(UUID(int=n)) for n in range(11, 15)]
GOOD = {"user_id": str(USER), "posts": POSTS}
A_LIST = "a list of 1 to 100 ids, each once"


def client(environ: Mapping[str, str] = SETTINGS) -> httpx.AsyncClient:
    application = create(lambda _: impressions.routes(TOKENS | environ))
    transport = httpx.ASGITransport(application, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url=APP_URL, headers=BEARER)


@pytest.fixture
async def http(
    connection: asyncpg.Connection, functions_url: str
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the function, over a database that has two users."""
    await connection.executemany("INSERT INTO users (id) VALUES ($1)", [(USER,), (OTHER,)])
    async with client(SETTINGS | {"DATABASE_URL": functions_url}) as opened:
        yield opened


async def kept(connection: asyncpg.Connection) -> dict[UUID, tuple[UUID, list[str]]]:
    """Return of each answer whose it is and its posts, in their order."""
    rows = await connection.fetch(
        "SELECT rec_id, user_id, array_agg(post_id ORDER BY position) AS posts"
        " FROM embedding.showings JOIN embedding.impressions USING (rec_id) GROUP BY rec_id"
    )
    return {row["rec_id"]: (row["user_id"], list(map(str, row["posts"]))) for row in rows}


async def test_what_was_shown_is_kept_under_a_name_of_its_own(
    http: httpx.AsyncClient, connection: asyncpg.Connection
):
    names = [(await http.post(PATH, json=GOOD)).json() for _ in range(2)]
    assert [set(name) for name in names] == [{"rec_id"}] * 2
    shown = (USER, POSTS)
    assert await kept(connection) == {UUID(name["rec_id"]): shown for name in names}
    assert await connection.fetchval("SELECT count(DISTINCT rec_id) FROM embedding.showings") == 2
    [empty] = await connection.fetch(
        "SELECT DISTINCT arm, score, similarity, freshness, popularity, propensity"
        " FROM embedding.showings JOIN embedding.impressions USING (rec_id)"
    )
    assert set(empty) == {None}


async def test_repeat_with_the_same_name_is_harmless_and_the_first_stays(
    http: httpx.AsyncClient, connection: asyncpg.Connection
):
    for body in (GOOD, GOOD, GOOD | {"posts": POSTS[:1]}, GOOD | {"user_id": str(OTHER)}):
        answer = await http.post(PATH, json=body | {"rec_id": str(REC)})
        assert (answer.status_code, answer.json()) == (200, {"rec_id": str(REC)})
    assert await kept(connection) == {REC: (USER, POSTS)}


async def test_as_many_posts_as_there_may_be_are_kept(
    http: httpx.AsyncClient, connection: asyncpg.Connection
):
    posts = [str(uuid4()) for _ in range(100)]
    await http.post(PATH, json=GOOD | {"posts": posts, "rec_id": str(REC)})
    assert await kept(connection) == {REC: (USER, posts)}


@pytest.mark.parametrize("share", ["0", "0.5", "1"])
async def test_share_of_the_answers_is_kept_and_each_is_answered(
    connection: asyncpg.Connection, functions_url: str, share: str
):
    await connection.execute("INSERT INTO users (id) VALUES ($1)", USER)
    names = [UUID(int=n) for n in range(20)]
    async with client(
        SETTINGS | {"DATABASE_URL": functions_url, "IMPRESSION_SHARE": share}
    ) as http:
        for name in names:
            assert (await http.post(PATH, json=GOOD | {"rec_id": str(name)})).status_code == 200
    wanted = {name for name in names if sampled(name, float(share))}
    assert set(await kept(connection)) == wanted


async def test_user_who_is_not_there_is_told(
    http: httpx.AsyncClient, connection: asyncpg.Connection
):
    answer = await http.post(PATH, json=GOOD | {"user_id": str(uuid4())})
    assert (answer.status_code, answer.json()) == (
        404,
        {"error": "not found", "reason": "no such user"},
    )
    assert await kept(connection) == {}


async def test_what_was_shown_before_an_erasure_never_comes_back(
    http: httpx.AsyncClient, connection: asyncpg.Connection
):
    body = GOOD | {"rec_id": str(REC)}
    await http.post(PATH, json=body)
    await erase(connection, USER)
    for _ in range(2):
        assert (await http.post(PATH, json=body)).status_code == 200
        assert await kept(connection) == {}


BAD = {
    "no JSON": (b"{", "body", "a JSON object"),
    "a list": (json.dumps([GOOD]).encode(), "body", "a JSON object"),
    "nothing": (b"{}", "user_id", "a UUID"),
    "no user": (json.dumps({"posts": POSTS}).encode(), "user_id", "a UUID"),
    "no posts": (json.dumps({"user_id": str(USER)}).encode(), "posts", A_LIST),
    **{
        f"posts {name}": (json.dumps(GOOD | {"posts": posts}).encode(), "posts", rule)
        for name, posts, rule in (
            ("empty", [], A_LIST),
            ("null", None, A_LIST),
            ("as text", POSTS[0], A_LIST),
            ("too many", [str(UUID(int=n)) for n in range(101)], A_LIST),
            ("twice", [*POSTS, POSTS[0].upper()], A_LIST),
            ("no UUID", [*POSTS, "7"], "a UUID"),
            ("null within", [None], "a UUID"),
        )
    },
    "rec_id null": (json.dumps(GOOD | {"rec_id": None}).encode(), "rec_id", "a UUID"),
    "rec_id no UUID": (json.dumps(GOOD | {"rec_id": "7"}).encode(), "rec_id", "a UUID"),
    "another field": (
        json.dumps(GOOD | {"arm": "m"}).encode(),
        "arm",
        "one of posts, rec_id, user_id",
    ),
}


@pytest.mark.parametrize("name", BAD)
async def test_bad_body_is_told_by_field_and_rule(services: Services, name: str):
    body, field, rule = BAD[name]
    async with client(services.environ) as http:
        answer = await http.post(PATH, content=body)
    assert answer.status_code == 400
    assert answer.json() == {"error": "invalid", "field": field, "rule": rule}
    assert services.connections == 0


async def test_query_is_refused(services: Services):
    async with client(services.environ) as http:
        answer = await http.post(f"{PATH}?x=1", json=GOOD)
    assert (answer.status_code, answer.json()["field"]) == (400, "x")


@pytest.mark.fault(27)
async def test_stranger_is_told_one_thing_before_anything_is_read_or_opened(services: Services):
    async with client(services.environ) as http:
        for token in ("", "admin-token", "api-tokens"):
            for body in (json.dumps(GOOD).encode(), b"{", b" " * (LONGEST + 1)):
                headers = {"Authorization": f"Bearer {token}"}
                answer = await http.post(f"{PATH}?x=1", content=body, headers=headers)
                assert (answer.status_code, answer.content) == (401, b'{"error":"unauthorized"}')
    assert services.connections == 0


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_other_methods_do_nothing_and_are_told_which_does(services: Services, method: str):
    async with client(services.environ) as http:
        answer = await http.request(method, PATH)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")
    assert services.connections == 0


@pytest.mark.fault(23)
async def test_body_that_is_too_long_is_refused(services: Services):
    async with client(services.environ) as http:
        answer = await http.post(PATH, content=b" " * (LONGEST + 1))
    assert (answer.status_code, answer.content) == (413, b'{"error":"too large"}')
    assert services.connections == 0


async def test_database_that_is_down_is_answered_with_a_time_to_come_again(services: Services):
    services.proxy.refuse = True
    async with client(services.environ) as http:
        answer = await http.post(PATH, json=GOOD)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "60")
    assert services.proxy.connections > 0


async def test_function_answers_as_deployed(start: Start, connection: asyncpg.Connection):
    await connection.execute("INSERT INTO users (id) VALUES ($1)", USER)
    stack = await start()
    async with httpx.AsyncClient(base_url=stack.app_url, timeout=30) as http:
        assert (await http.post(PATH, json=GOOD)).status_code == 401
        headers = {"Authorization": f"Bearer {API_TOKEN}"}
        answer = await http.post(PATH, json=GOOD, headers=headers)
    assert await kept(connection) == {UUID(answer.json()["rec_id"]): (USER, POSTS)}
