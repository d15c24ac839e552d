"""A rebuild's pages: by index, each once, in the order of the users' ids."""

from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest

from lib.store.rebuilds import MAKE_DUE, make_due, open_rebuild
from tests.store.test_query_plans import explain

DAYS = timedelta(days=90)


async def inhabit(connection: asyncpg.Connection, users: int, actions: int) -> None:
    """Make users with so many actions each, half of the users with a vector."""
    await connection.execute(
        "INSERT INTO users SELECT gen_random_uuid() FROM generate_series(1, $1)", users
    )
    await connection.execute(
        "INSERT INTO user_embeddings (user_id, model_version)"
        " SELECT id, 'm' FROM users ORDER BY id LIMIT $1",
        users // 2,
    )
    await connection.execute(
        "INSERT INTO action_log (user_id, post_id, action_type)"
        " SELECT id, id, 'view_post' FROM users, generate_series(1, $1)",
        actions,
    )
    await connection.execute("ANALYZE")


async def test_pages_go_through_all_users_in_order_and_end(connection: asyncpg.Connection):
    await inhabit(connection, 25, 1)
    begun = state = await open_rebuild(connection)
    seen, cursors = [], []
    while not state.finished:
        state = await make_due(connection, begun.id, 10, DAYS)
        seen.append((state.users, state.due))
        cursors.append(await connection.fetchval("SELECT last_user FROM embedding.rebuilds"))
    assert seen == [(10, 10), (20, 20), (25, 25)]
    users = await connection.fetch("SELECT id FROM users ORDER BY id")
    assert cursors == [users[n]["id"] for n in (9, 19, 24)]


async def test_rebuild_that_is_finished_stays_as_it_is(connection: asyncpg.Connection):
    await inhabit(connection, 3, 1)
    begun = await open_rebuild(connection)
    state = await make_due(connection, begun.id, 10, DAYS)
    assert (state.users, state.finished) == (3, True)
    await connection.execute("INSERT INTO users VALUES (DEFAULT)")
    assert await make_due(connection, begun.id, 10, DAYS) == state
    assert (await open_rebuild(connection)).id != begun.id


async def test_rebuild_of_nobody_is_finished_at_once(connection: asyncpg.Connection):
    state = await make_due(connection, (await open_rebuild(connection)).id, 10, DAYS)
    assert (state.users, state.due, state.finished) == (0, 0, True)


async def test_page_begins_after_the_last_user_and_not_at_it(connection: asyncpg.Connection):
    await inhabit(connection, 3, 1)
    begun = await open_rebuild(connection)
    for _ in range(3):
        state = await make_due(connection, begun.id, 1, DAYS)
    assert (state.users, state.due, state.finished) == (3, 3, False)
    assert (await make_due(connection, begun.id, 1, DAYS)).finished


@pytest.mark.parametrize("last", [None, UUID(int=1 << 127)], ids=["first page", "later page"])
async def test_page_is_found_by_index_and_reads_no_table_from_end_to_end(
    connection: asyncpg.Connection, last: UUID | None
):
    await inhabit(connection, 20_000, 3)
    begun = await open_rebuild(connection)
    await connection.execute("UPDATE embedding.rebuilds SET last_user = $1", last)
    used, scanned = await explain(connection, MAKE_DUE, (begun.id, 200, DAYS))
    assert not scanned
    assert {"users_pkey", "user_embeddings_user_id_key", "action_log_user_created"} <= used


async def test_page_looks_vectors_up_however_large_it_is(connection: asyncpg.Connection):
    """Reading all of them once a page would take a rebuild the square of their number."""
    await inhabit(connection, 20_000, 0)
    begun = await open_rebuild(connection)
    used, scanned = await explain(connection, MAKE_DUE, (begun.id, 10_000, DAYS))
    assert "user_embeddings" not in scanned
    assert "user_embeddings_user_id_key" in used
