from uuid import UUID, uuid4

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lib.store.pages import lowest_pages, next_page, page_members, record_failed_page
from tests.store.conftest import write_run

LAST_PAGE = 2**31 - 1


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # each example is rolled back
)
@given(
    st.sets(st.integers(0, 13) | st.sampled_from([LAST_PAGE - 2, LAST_PAGE])),
    st.sampled_from([1, 2, 3, 4]),
    st.integers(0, 14) | st.just(LAST_PAGE),
)
async def test_chain_goes_from_page_to_page_of_its_residue(
    connection: asyncpg.Connection, left: set[int], chains: int, page: int
):
    rolled_back = connection.transaction()
    await rolled_back.start()
    try:
        run = await write_run(connection, {n: [UUID(int=n)] for n in left}, chains=chains)
        lowest = [min(n for n in left if n % chains == chain) for chain in residues(left, chains)]
        above = [n for n in left if n > page and n % chains == page % chains]
        assert sorted(await lowest_pages(connection, run)) == sorted(lowest)
        assert await next_page(connection, run, page) == min(above, default=None)
    finally:
        await rolled_back.rollback()


def residues(pages: set[int], chains: int) -> set[int]:
    return {page % chains for page in pages}


@pytest.mark.parametrize("chains", [1, 2, 3, 4])
async def test_chains_together_visit_every_page_once(connection: asyncpg.Connection, chains: int):
    run = await write_run(connection, {n: [UUID(int=n)] for n in range(11)}, chains=chains)
    visited = []
    for first in await lowest_pages(connection, run):
        page: int | None = first
        while page is not None:
            visited.append(page)
            page = await next_page(connection, run, page)
    assert sorted(visited) == list(range(11))


async def test_pages_of_other_runs_are_not_seen(connection: asyncpg.Connection):
    run = await write_run(connection, {3: [UUID(int=1)]})
    await connection.execute(
        "INSERT INTO embedding.run_users VALUES ($1, 0, $2, false), ($1, 5, $2, false)",
        uuid4(),
        UUID(int=9),
    )
    assert await lowest_pages(connection, run) == [3]
    assert await next_page(connection, run, 3) is None
    assert await page_members(connection, run.id, 0) == []


async def test_the_last_page_number_there_is_has_none_above_it(connection: asyncpg.Connection):
    run = await write_run(connection, {0: [UUID(int=1)]}, chains=4)
    assert await next_page(connection, run, 2**31 - 1) is None


async def test_members_come_in_the_order_of_their_ids(connection: asyncpg.Connection):
    users = [UUID(int=n << shift) for n in (7, 1, 200) for shift in (0, 64, 120)]
    run = await write_run(connection, {0: users})
    await connection.execute("UPDATE embedding.run_users SET remake = (user_id = $1)", min(users))
    assert [m.user for m in await page_members(connection, run.id, 0)] == sorted(users)


async def test_failed_page_is_remembered_once_with_its_last_answer(connection: asyncpg.Connection):
    run = await write_run(connection, {0: [UUID(int=1)]})
    for status in (503, None, 500):
        await record_failed_page(connection, run.id, 4, status)
    rows = await connection.fetch("SELECT page, status FROM embedding.failed_pages")
    assert [tuple(row) for row in rows] == [(4, 500)]
