"""Whole runs under the lesser role, and where row security is on."""

from collections.abc import AsyncIterator
from uuid import uuid4

import httpx
import pytest
from asyncpg import Connection
from valkey.asyncio import Valkey as Redis

from dev.postgres import Postgres
from dev.stack import API_TOKEN
from tests.conftest import Start, trigger
from tests.promises import assert_converged
from tests.scene import build

ON_PLATFORMS = ["tables", "views"]
SECURED = "ALTER TABLE {0} ENABLE ROW LEVEL SECURITY"


@pytest.fixture
async def reader(postgres: Postgres, connection: Connection) -> AsyncIterator[str]:
    """Where the database is for a login that may not write to the platform's log."""
    role = f"reader_{uuid4().hex}"
    await connection.execute(f"CREATE ROLE {role} LOGIN IN ROLE user_embeddings")
    yield postgres.url(await connection.fetchval("SELECT current_database()"), role)
    await connection.execute(f"DROP ROLE {role}")


async def test_run_needs_no_right_to_write_the_platform_s_log(
    start: Start, connection: Connection, redis: Redis, reader: str
):
    scene = await build(connection)
    stack = await start({"DATABASE_URL": reader})
    await trigger(stack)
    assert {delivery.status for delivery in await stack.broker.drain()} == {200}
    await assert_converged(connection, redis, scene.users)
    before = await connection.fetchval("SELECT count(*) FROM action_log")
    action = {"user_id": str(scene.users[0]), "post_id": str(scene.posts[0])}
    async with httpx.AsyncClient(base_url=stack.app_url, timeout=60) as client:
        answer = await client.post(
            "/api/actions/log",
            json={"actions": [action | {"action_type": "like_post"}]},
            headers={"Authorization": f"Bearer {API_TOKEN}"},
        )
    assert answer.status_code == 503
    assert await connection.fetchval("SELECT count(*) FROM action_log") == before


async def test_run_sees_every_user_where_row_security_is_on(
    start: Start, connection: Connection, redis: Redis
):
    scene = await build(connection)
    secured = await connection.fetch(
        "SELECT oid::REGCLASS::TEXT FROM pg_class"
        " WHERE relkind = 'r' AND relnamespace = 'public'::REGNAMESPACE"
    )
    for (table,) in secured:
        await connection.execute(SECURED.format(table))
    stack = await start()
    await trigger(stack)
    assert {delivery.status for delivery in await stack.broker.drain()} == {200}
    assert await assert_converged(connection, redis, scene.users) > 30
