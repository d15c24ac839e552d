"""The built functions put to work: a page from message to Postgres and Redis."""

from datetime import UTC, datetime
from http import HTTPStatus
from uuid import UUID

import asyncpg
import httpx

from dev.load import load
from dev.postgres import Postgres
from dev.stack import ADMIN_TOKEN, LOGIN, SQL, Stack, running
from dev.valkey import Valkey
from dev.vercel_build.build import Build
from dev.vercel_build.check import Finding
from dev.world import invent
from lib.qstash.queue import Queue
from lib.settings import QueueSettings, table

SECONDS = 60.0
STATUS = "/api/status"
ASKED = {
    "/api/users": ("GET", f"/api/users/{UUID(int=1)}/embedding"),
    STATUS: ("GET", STATUS),
}
"""What a stranger asks of a function that is not to be posted to at its own path."""


async def work(build: Build) -> list[Finding]:
    """Serve nothing but the bundles, work off a page with them, and say what came of it."""
    with Postgres.start() as postgres, Valkey() as valkey:
        url = await postgres.create("bundle")
        await postgres.apply("bundle", *SQL)
        connection = await asyncpg.connect(url, command_timeout=SECONDS)
        model = table.MODEL_VERSION.load({})
        try:
            await load(connection, invent(datetime.now(UTC), users=50), model)
            names = tuple(bundle.route.removeprefix("/") for bundle in build.bundles)
            login = postgres.url("bundle", LOGIN)
            async with running(login, valkey, root=build.functions, bundles=names) as stack:
                refusals = [await _refuses(stack, bundle.route) for bundle in build.bundles]
                works = await _works(stack, connection)
                return [*refusals, works, await _shows(stack, connection)]
        finally:
            await connection.close()


async def _refuses(stack: Stack, route: str) -> Finding:
    method, path = ASKED.get(route, ("POST", route))
    async with httpx.AsyncClient(base_url=stack.app_url, timeout=SECONDS) as client:
        answer = await client.request(method, path)
    good = answer.status_code == HTTPStatus.UNAUTHORIZED
    text = f"{route}: answers {answer.status_code} to a stranger"
    return Finding(good, text if good else text + _said(stack))


async def _works(stack: Stack, connection: asyncpg.Connection) -> Finding:
    queue = Queue(QueueSettings.load(stack.environ))
    await queue.publish_start()
    await queue.close()
    answers = [delivery.status for delivery in await stack.broker.drain(limit_seconds=600)]
    vectors = await connection.fetchval("SELECT count(*) FROM user_embeddings")
    good = answers == [200, 200] and vectors > 0
    text = f"a tick and its page: answered {answers}, {vectors} vectors stored"
    return Finding(good, text if good else text + _said(stack))


async def _shows(stack: Stack, connection: asyncpg.Connection) -> Finding:
    """Ask for each page, which needs templates and a style in the bundle."""
    user = await connection.fetchval("SELECT user_id FROM user_embeddings LIMIT 1")
    headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
    async with httpx.AsyncClient(
        base_url=stack.app_url, timeout=SECONDS, headers=headers
    ) as client:
        answers = [await client.get(path) for path in (STATUS, f"{STATUS}/users/{user}")]
    good = all(
        answer.status_code == HTTPStatus.OK and "</html>" in answer.text for answer in answers
    )
    text = f"the status and a user's page: answered {[answer.status_code for answer in answers]}"
    return Finding(good, text if good else text + _said(stack))


def _said(stack: Stack) -> str:
    return "\n" + "\n".join(stack.functions.logs[-20:])
