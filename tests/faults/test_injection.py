"""SQL in ids, cursors and names: taken as text or refused, and never run."""

from random import Random
from urllib.parse import quote
from uuid import UUID, uuid4

import httpx
import pytest
from asyncpg import Connection
from valkey.asyncio import Valkey as Redis

from dev.stack import ADMIN_TOKEN, API_TOKEN
from tests.conftest import Start, trigger
from tests.promises import rows
from tests.scene import MODEL, build
from tests.store.test_db_files import described
from tests.tally import Tally

pytestmark = [pytest.mark.fault(24), pytest.mark.timeout(300)]

SEED = 24
LETTERS = "'\"\\;-$%{}()/*\u02bc\u2019\0 \naZ09\U0001d11e"
PAYLOADS = [
    "'; DROP TABLE users; --",
    "' OR '1'='1",
    "00000000-0000-4000-8000-000000000001'; DELETE FROM users; --",
    "$1); TRUNCATE embedding.runs; --",
    "1; SELECT pg_sleep(60)",
    "') RETURNING (SELECT rolpassword FROM pg_authid) --",
    "\\'; COPY users TO PROGRAM 'true'; --",
    "$$; DROP SCHEMA embedding CASCADE; $$",
    "/*",
    "%s%n{0}{user}",
    "\u02bc; DROP TABLE users",
    "\0",
    *("".join(Random(SEED + n).choices(LETTERS, k=n)) for n in range(1, 30)),
]


def requests(user: UUID, text: str) -> list[tuple[str, str, object]]:
    """Return a request for each place in which a route takes a text: method, path, body."""
    given = quote(text, safe="")
    path, post = f"/api/users/{user}", str(uuid4())
    action = {"user_id": str(user), "post_id": post, "action_type": "view_post"}
    showing = {"user_id": str(user), "rec_id": post, "posts": []}
    return [
        *(("GET", f"/api/users/{given}/{what}", None) for what in ("embedding", "similar")),
        ("GET", f"/api/users/{given}/recommendations", None),
        ("DELETE", f"/api/users/{given}/embedding", None),
        ("GET", f"{path}/similarity/{given}", None),
        ("GET", f"{path}/embedding?why={given}", None),
        ("GET", f"{path}/similar?limit={given}", None),
        *(
            ("GET", f"{path}/recommendations?{name}={given}", None)
            for name in ("limit", "exclude_seen", "since", "topics", "diversity", given)
        ),
        *(
            ("POST", "/api/actions/log", {"actions": [action | {name: text}]})
            for name in (*action, "created_at", "event_id", "rec_id", text)
        ),
        *(("POST", "/api/impressions", showing | {name: text}) for name in (*showing, text)),
    ]


async def test_text_that_looks_like_sql_changes_nothing_and_fails_nothing(
    start: Start, connection: Connection, tally: Tally
):
    scene = await build(connection, users=3, posts=3)
    before, rows = await described(connection), await counted(connection)
    stack = await start()
    tally.tried = 0
    tally.notes.append(f"seed {SEED}")
    async with httpx.AsyncClient(base_url=stack.app_url, timeout=60) as client:
        for text in PAYLOADS:
            for method, path, body in requests(scene.users[0], text):
                token = ADMIN_TOKEN if method == "DELETE" else API_TOKEN
                answer = await client.request(
                    method, path, json=body, headers={"Authorization": f"Bearer {token}"}
                )
                assert answer.status_code in {200, 400, 404, 422}, (path, body, answer.text)
                tally.tried += 1
    assert await described(connection) == before
    assert await counted(connection) == rows


async def test_model_whose_name_looks_like_sql_is_a_name(
    start: Start, connection: Connection, redis: Redis, tally: Tally
):
    scene = await build(connection, users=10)
    before, counts = await described(connection), await counted(connection)
    name = "';DELETE/**/FROM/**/users;SELECT/**/$1/%s{0}--"
    await connection.execute("UPDATE post_embeddings SET model_version = $1", name)
    stack = await start({"MODEL_VERSION": name})
    await trigger(stack)
    assert {delivery.status for delivery in await stack.broker.drain()} == {200}
    assert {row.model_version for row in (await rows(connection)).values()} == {name}
    assert await described(connection) == before
    assert await counted(connection) == counts
    # as the reference knows the model
    for table in ("post_embeddings", "user_embeddings"):
        await connection.execute(f"UPDATE {table} SET model_version = $1", MODEL)  # noqa: S608  # names of ours
    await tally.converged(connection, redis, scene.users)


async def counted(connection: Connection) -> list[int]:
    """Count what none of these may add to or take from: the actions' own posts do not exist."""
    return [
        await connection.fetchval(f"SELECT count(*) FROM {table}")  # noqa: S608  # names of ours
        for table in ("users", "posts", "post_embeddings", "action_log", "embedding.erasures")
    ]
