"""A rebuild: everybody is made anew, however often it is interrupted, and nobody before that."""

import asyncio
import os
import re
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import count
from uuid import UUID

import numpy as np
import pytest
from asyncpg import Connection
from valkey.asyncio import Valkey as Redis

from dev.proxy import Proxy
from dev.stack import LOGIN, ROOT, Stack
from lib.commands.rebuild import USERS
from lib.embedding.schemes import BASELINE, DECAY, Scheme
from tests.conftest import Start, trigger
from tests.promises import actions_by_user, assert_mirrored, rows, usable_embeddings
from tests.reference import cosine, interest_vector
from tests.scene import MODEL, act, build

NEW = "another-model"
COMMAND = "import os, sys; from lib.commands.rebuild import rebuild; sys.exit(rebuild(os.environ))"


async def run(stack: Stack) -> None:
    await trigger(stack)
    assert {delivery.status for delivery in await stack.broker.drain()} == {200}


async def begin(environ: Mapping[str, str]) -> asyncio.subprocess.Process:
    """Start a rebuild in a process of its own."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", COMMAND),
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environ},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def rebuild(environ: Mapping[str, str]) -> str:
    """Rebuild to the end and return what was printed."""
    process = await begin(environ)
    printed, said = await process.communicate()
    assert process.returncode == 0, said
    return printed.decode()


async def inhabit(connection: Connection, users: int) -> None:
    """Make users, every third of whom acted yesterday, every fifth a hundred days ago."""
    await connection.execute(
        "INSERT INTO users SELECT gen_random_uuid() FROM generate_series(1, $1)", users
    )
    await connection.execute(
        "INSERT INTO action_log (user_id, post_id, action_type, created_at)"
        " SELECT id, id, 'view_post', clock_timestamp()"
        "   - CASE WHEN n % 3 = 0 THEN interval '1 day' ELSE interval '100 days' END"
        " FROM (SELECT id, row_number() OVER () AS n FROM users) AS numbered"
        " WHERE n % 3 = 0 OR n % 5 = 0"
    )
    await connection.execute("ANALYZE")


async def rebuilds(connection: Connection) -> list[tuple[int, int, bool]]:
    """Return of each rebuild the users looked at, those of them due, and whether it is done."""
    found = await connection.fetch(
        "SELECT users, due, finished_at IS NOT NULL FROM embedding.rebuilds ORDER BY id"
    )
    return [tuple(row) for row in found]


async def due(connection: Connection) -> list[UUID]:
    found = await connection.fetch(
        "SELECT user_id FROM embedding.due WHERE reason = 'rebuild' ORDER BY user_id"
    )
    return [row["user_id"] for row in found]


async def active(connection: Connection) -> list[UUID]:
    found = await connection.fetch(
        "SELECT DISTINCT user_id FROM action_log"
        " WHERE created_at > now() - interval '90 days' ORDER BY user_id"
    )
    return [row["user_id"] for row in found]


async def embed_anew(connection: Connection, posts: Sequence[UUID]) -> dict[UUID, list[float]]:
    """Give all posts embeddings of the new model, and return them."""
    vectors = np.random.default_rng(99).normal(size=(len(posts), 384)).astype(np.float32)
    for post, vector in zip(posts, vectors, strict=True):
        await connection.execute(
            "UPDATE post_embeddings SET embedding = $2, model_version = $3,"
            " updated_at = clock_timestamp() WHERE post_id = $1",
            post,
            vector,
            NEW,
        )
    return dict(zip(posts, vectors.tolist(), strict=True))


@pytest.mark.parametrize(
    ("change", "scheme", "label"),
    [
        ({"MODEL_VERSION": NEW}, BASELINE, NEW),
        ({"EMBEDDING_SCHEME": "decay"}, DECAY, f"{MODEL}/decay@1"),
    ],
    ids=["model", "scheme"],
)
async def test_change_touches_who_becomes_due_and_after_a_rebuild_all_who_acted_lately(  # noqa: PLR0917  # fixtures
    start: Start,
    connection: Connection,
    redis: Redis,
    change: dict[str, str],
    scheme: Scheme,
    label: str,
):
    scene = await build(connection, users=20)
    acting, idle, away = scene.users[:3]
    for user in scene.users[:3]:
        for post in scene.posts[:3]:
            await act(connection, user, post)
    await run(await start())
    await connection.execute(
        "UPDATE action_log SET created_at = created_at - interval '100 days' WHERE user_id = $1",
        away,
    )
    before, embeddings = await rows(connection), await usable_embeddings(connection)
    if label == NEW:
        embeddings = await embed_anew(connection, scene.posts)

    stack = await start({**change, "WINDOW_OVERLAP_SECONDS": "0"})
    await act(connection, acting, scene.posts[5])
    await run(stack)
    between = await rows(connection)
    assert {user for user in between if between[user] != before.get(user)} == {acting}
    assert (between[acting].model_version, between[idle].model_version) == (label, MODEL)

    await rebuild(stack.environ)
    await run(stack)
    after, log = await rows(connection), await actions_by_user(connection)
    for user in scene.users:
        wanted = interest_vector(log[user], embeddings, datetime.now(UTC), scheme)
        if wanted is not None:
            assert after[user].model_version == label
            assert cosine(after[user].embedding, wanted) >= 0.999999
    assert after[away] == before[away]
    assert {user for user, row in after.items() if row.model_version != label} == {away}
    await assert_mirrored(connection, redis)


async def test_rebuild_makes_due_who_has_a_vector_or_acted_lately(
    connection: Connection, functions_url: str
):
    await inhabit(connection, 100)
    inactive = await connection.fetchval(
        "INSERT INTO users VALUES ('00000000-0000-0000-0000-000000000000') RETURNING id"
    )
    await connection.execute(
        "INSERT INTO user_embeddings (user_id, model_version) VALUES ($1, 'm')", inactive
    )
    printed = await rebuild({"DATABASE_URL": functions_url})
    wanted = [inactive, *await active(connection)]
    assert await due(connection) == wanted
    assert len(wanted) == 34
    assert printed == "101 users looked at, 34 due\nthe next run takes whoever is due\n"


async def test_lookback_is_the_setting_s(connection: Connection, functions_url: str):
    await inhabit(connection, 30)
    await rebuild({"DATABASE_URL": functions_url, "LOOKBACK_DAYS": "0"})
    assert len(await due(connection)) == 10 + 4


async def test_rebuild_goes_in_pages_and_prints_each(connection: Connection, functions_url: str):
    await inhabit(connection, 2 * USERS)
    printed = await rebuild({"DATABASE_URL": functions_url})
    lines = [line.split()[0] for line in printed.splitlines()[:-1]]
    assert lines == ["10,000", "20,000", "20,000"]
    assert await rebuilds(connection) == [(2 * USERS, 2 * USERS // 3, True)]


async def test_rebuild_killed_at_any_statement_goes_on_where_it_stopped(
    connection: Connection, functions_url: str, proxy: Proxy
):
    """SIGKILL before the first statement, then before the second of another process, and so on."""
    await inhabit(connection, USERS + 1000)
    url = proxy.url(functions_url.rpartition("?")[0].rpartition("/")[2], LOGIN)
    looked_at = []
    for victim in count(1):
        killed = await rebuild_until(proxy, url, victim)
        states = await rebuilds(connection)
        looked_at.append(sum(users for users, _, _ in states))
        assert len(await due(connection)) == sum(made for _, made, _ in states)
        if not killed:
            break
        assert len(states) <= 1
    assert victim > 10, "two pages take at least so many statements"
    assert looked_at == sorted(looked_at)
    assert set(looked_at) == {0, USERS, USERS + 1000}
    assert await due(connection) == await active(connection)
    assert await rebuilds(connection) == [(USERS + 1000, (USERS + 1000) // 3, True)]


async def rebuild_until(proxy: Proxy, url: str, victim: int) -> bool:
    """Rebuild, and kill the process before its statement of that number; False if none came."""
    seen, killed = 0, False

    async def kill(kind: bytes, _: bytes) -> None:
        nonlocal seen, killed
        seen += kind in b"QE"
        if seen == victim:
            killed = True
            process.kill()
            raise ConnectionResetError

    proxy.on_message = kill
    process = await begin({"DATABASE_URL": url})
    await process.communicate()
    assert process.returncode == (-9 if killed else 0)
    return killed


async def test_what_was_interrupted_says_so_and_what_was_finished_starts_anew(
    connection: Connection, functions_url: str
):
    await inhabit(connection, 9)
    first = UUID("80000000-0000-0000-0000-000000000000")
    await connection.execute(
        "INSERT INTO embedding.rebuilds (started_at, last_user, users, due)"
        " VALUES ('2026-11-24 12:34+00', $1, 700, 70)",
        first,
    )
    above = [user for user in await active(connection) if user > first]
    printed = await rebuild({"DATABASE_URL": functions_url})
    assert printed.startswith("going on with the rebuild of 2026-11-24 12:34 UTC\n70")
    assert await due(connection) == above
    assert "going on" not in await rebuild({"DATABASE_URL": functions_url})
    assert [done for _, _, done in await rebuilds(connection)] == [True, True]
    assert set(await due(connection)) == set(await active(connection))


async def test_two_rebuilds_at_once_share_the_work_or_repeat_it_and_lose_nobody(
    connection: Connection, functions_url: str
):
    await inhabit(connection, 3 * USERS)
    environ = {"DATABASE_URL": functions_url}
    await asyncio.gather(rebuild(environ), rebuild(environ))
    everybody = (3 * USERS, USERS, True)
    assert set(await rebuilds(connection)) == {everybody}
    assert sorted(set(await due(connection))) == await active(connection)


async def test_rebuild_and_runs_at_once_lose_nobody(start: Start, connection: Connection):
    """A plan that comes between two pages takes the first, and the next plan the second."""
    await inhabit(connection, USERS + 300)
    stack = await start({"PAGE_SIZE": "5000", "WINDOW_OVERLAP_SECONDS": "0"})
    await connection.execute(
        "INSERT INTO embedding.runs (id, window_start, window_end, progressed_at, finished_at,"
        " chains, users, pages) SELECT gen_random_uuid(), now(), now(), now(), now(), 1, 0, 0"
    )
    rebuilding = asyncio.create_task(rebuild(stack.environ))
    for _ in range(3):
        await run(stack)
    await rebuilding
    await run(stack)
    planned = await connection.fetchval("SELECT sum(users) FROM embedding.runs")
    assert planned == (USERS + 300) // 3
    assert await due(connection) == []


@pytest.mark.parametrize(
    ("environ", "named"),
    [({}, "DATABASE_URL"), ({"LOOKBACK_DAYS": "many"}, "LOOKBACK_DAYS")],
    ids=["nowhere to look", "no number"],
)
async def test_wrong_setting_is_named(functions_url: str, environ: dict[str, str], named: str):
    process = await begin({"DATABASE_URL": functions_url, **environ} if environ else {})
    _, said = await process.communicate()
    assert process.returncode != 0
    assert re.search(rf"SettingError: {named} ", said.decode())
