import asyncio
from collections import Counter
from dataclasses import replace
from uuid import UUID

import asyncpg
import pytest

from lib.store.results import ATTEMPTS, Outcome, Result, close_users
from lib.store.runs import absorb, find_run
from tests.scene import connect
from tests.store.conftest import write_run

A, B, C, D = (UUID(int=n) for n in range(1, 5))
FAILED = Result(A, Outcome.FAILED, reason="CheckViolationError: poison")


async def left(connection: asyncpg.Connection) -> set[UUID]:
    return {row[0] for row in await connection.fetch("SELECT user_id FROM embedding.run_users")}


async def counts(connection: asyncpg.Connection, run: UUID) -> dict[str, int]:
    rows = await connection.fetch(
        "SELECT name, amount FROM embedding.run_counts WHERE run_id = $1", run
    )
    return {row["name"]: row["amount"] for row in rows}


async def due(connection: asyncpg.Connection) -> set[tuple[UUID, str]]:
    rows = await connection.fetch("SELECT user_id, reason FROM embedding.due")
    return {tuple(row) for row in rows}


async def finished(connection: asyncpg.Connection, run: UUID) -> bool:
    found = await find_run(connection, run)
    assert found is not None
    return found.finished


async def close_alone(connection: asyncpg.Connection, *results: Result) -> None:
    """Close users in a run of their own."""
    run = await write_run(connection, {0: [result.user for result in results]})
    await close_users(connection, run.id, 0, results)
    assert await finished(connection, run.id)


async def test_closed_users_leave_the_list_and_are_counted_by_outcome(
    connection: asyncpg.Connection,
):
    run = await write_run(connection, {0: [A, B, C], 1: [D]})
    results = [
        Result(A, Outcome.PROCESSED, posts=9, unknown_actions=2, unusable_posts=1),
        Result(B, Outcome.PROCESSED, unknown_actions=3),
        Result(C, Outcome.GONE),
    ]
    await close_users(connection, run.id, 0, results)
    assert await left(connection) == {D}
    assert await counts(connection, run.id) == {
        "processed": 2,
        "gone": 1,
        "unknown_actions": 5,
        "unusable_posts": 1,
    }
    assert not await finished(connection, run.id)
    now = await find_run(connection, run.id)
    assert now is not None
    assert now.progressed_at > run.progressed_at
    assert await due(connection) == set()


@pytest.mark.parametrize("outcome", Outcome)
async def test_every_outcome_is_counted_under_its_name(
    connection: asyncpg.Connection, outcome: Outcome
):
    reason = "bad" if outcome is Outcome.FAILED else None
    run = await write_run(connection, {0: [A]})
    await close_users(connection, run.id, 0, [Result(A, outcome, reason=reason)])
    assert await counts(connection, run.id) == {outcome.value: 1}


async def test_user_is_counted_once_though_closed_twice(connection: asyncpg.Connection):
    run = await write_run(connection, {0: [A, B], 1: [C]})
    one = Result(A, Outcome.PROCESSED, unknown_actions=1)
    two = Result(B, Outcome.FAILED, reason="bad")
    for _ in range(2):
        await close_users(connection, run.id, 0, [one])
        await close_users(connection, run.id, 0, [one, two])
    assert await counts(connection, run.id) == {"processed": 1, "unknown_actions": 1, "failed": 1}
    assert await connection.fetchval("SELECT attempts FROM embedding.failures") == 1
    assert not await finished(connection, run.id)


async def test_user_of_another_page_stays_on_the_list(connection: asyncpg.Connection):
    run = await write_run(connection, {0: [A], 1: [B]})
    await close_users(connection, run.id, 0, [Result(B, Outcome.PROCESSED)])
    assert await left(connection) == {A, B}
    assert await counts(connection, run.id) == {}


async def test_closing_adds_up_over_deliveries(connection: asyncpg.Connection):
    run = await write_run(connection, {0: [A, B], 1: [C]})
    for page, user in ((0, A), (1, C), (0, B)):
        await close_users(
            connection, run.id, page, [Result(user, Outcome.FEW_POSTS, unusable_posts=2)]
        )
    assert await counts(connection, run.id) == {"few_posts": 3, "unusable_posts": 6}


async def test_last_user_finishes_the_run_and_nobody_opens_it_again(
    connection: asyncpg.Connection,
):
    run = await write_run(connection, {0: [A, B]})
    results = [Result(A, Outcome.PROCESSED), Result(B, Outcome.PROCESSED)]
    await close_users(connection, run.id, 0, results[:1])
    assert not await finished(connection, run.id)
    await close_users(connection, run.id, 0, results[1:])
    assert await finished(connection, run.id)
    before = await connection.fetchrow("SELECT * FROM embedding.runs")
    await close_users(connection, run.id, 0, results)
    assert await connection.fetchrow("SELECT * FROM embedding.runs") == before


@pytest.mark.fault(3)
async def test_two_chains_that_close_their_last_pages_at_once_finish_the_run(
    own: asyncpg.Connection, database_url: str
):
    """The second sees the list as the first leaves it, though it began before."""
    other = await connect(database_url)
    run = await write_run(own, {0: [A], 1: [B]}, chains=2)
    async with own.transaction():
        await close_users(own, run.id, 0, [Result(A, Outcome.PROCESSED)])
        second = asyncio.create_task(close_users(other, run.id, 1, [Result(B, Outcome.FEW_POSTS)]))
        await asyncio.sleep(0.1)
        assert not second.done()
    await asyncio.wait_for(second, 5)
    assert await finished(own, run.id)
    assert await counts(own, run.id) == {"processed": 1, "few_posts": 1}
    await other.close()


@pytest.mark.fault(3)
async def test_many_chains_that_close_pages_of_all_kinds_at_once_lose_no_count(
    own: asyncpg.Connection, database_url: str
):
    others = [await connect(database_url) for _ in range(4)]
    for outcomes in ([Outcome.PROCESSED] * 4, list(Outcome)[:4], list(Outcome)[3::-1]):
        run = await write_run(own, dict(enumerate([[A], [B], [C], [D]])), chains=4)
        async with asyncio.timeout(10), asyncio.TaskGroup() as group:
            for page, (other, user) in enumerate(zip(others, [A, B, C, D], strict=True)):
                result = Result(user, outcomes[page])
                group.create_task(close_users(other, run.id, page, [result]))
        assert await finished(own, run.id)
        assert await counts(own, run.id) == Counter(outcome.value for outcome in outcomes)
    for other in others:
        await other.close()


async def test_absorbed_run_stays_as_it_is(connection: asyncpg.Connection):
    run = await write_run(connection, {0: [A, B]})
    await absorb(connection, run.id)
    before = await connection.fetchrow("SELECT * FROM embedding.runs")
    await close_users(
        connection, run.id, 0, [replace(FAILED, user=user, waiting=True) for user in (A, B)]
    )
    assert await connection.fetchrow("SELECT * FROM embedding.runs") == before
    assert await left(connection) == {A, B}
    assert await counts(connection, run.id) == {}
    assert await due(connection) == set()
    assert await connection.fetchval("SELECT count(*) FROM embedding.failures") == 0


async def test_run_that_never_was_closes_nobody(connection: asyncpg.Connection):
    await close_users(connection, UUID(int=99), 0, [FAILED])
    assert await connection.fetchval("SELECT count(*) FROM embedding.failures") == 0


async def test_failed_user_is_recorded_with_the_last_reason(connection: asyncpg.Connection):
    await close_alone(connection, FAILED)
    await close_alone(connection, replace(FAILED, reason="DataError: worse"))
    [row] = await connection.fetch("SELECT * FROM embedding.failures")
    assert (row["user_id"], row["reason"], row["attempts"]) == (A, "DataError: worse", 2)


async def test_failed_user_is_tried_again_for_five_times_and_no_more(
    connection: asyncpg.Connection,
):
    again = 0
    for _ in range(10):
        await close_alone(connection, FAILED)
        again += len(await due(connection))
        await connection.execute("DELETE FROM embedding.due")  # as planning does
    assert ATTEMPTS == 5
    assert again == ATTEMPTS


@pytest.mark.parametrize("outcome", [outcome for outcome in Outcome if outcome != Outcome.FAILED])
async def test_success_heals_and_the_count_of_attempts_begins_anew(
    connection: asyncpg.Connection, outcome: Outcome
):
    for _ in range(7):
        await close_alone(connection, FAILED, replace(FAILED, user=B))
        await connection.execute("DELETE FROM embedding.due")
    await close_alone(connection, Result(A, outcome))
    rows = await connection.fetch("SELECT user_id FROM embedding.failures")
    assert [row["user_id"] for row in rows] == [B]
    await close_alone(connection, FAILED)
    assert await due(connection) == {(A, "failed")}


async def test_user_who_waits_for_a_post_s_embedding_is_due(connection: asyncpg.Connection):
    results = [
        Result(A, Outcome.PROCESSED, waiting=True),
        Result(B, Outcome.FEW_POSTS, waiting=True),
        Result(C, Outcome.FEW_POSTS),
    ]
    for _ in range(2):
        await close_alone(connection, *results)
    assert await due(connection) == {(A, "unembedded_post"), (B, "unembedded_post")}


async def test_user_who_is_due_for_other_reasons_stays_so(connection: asyncpg.Connection):
    await connection.execute(
        "INSERT INTO embedding.due VALUES ($1, 'rebuild'), ($2, 'failed')", A, B
    )
    await close_alone(connection, Result(A, Outcome.PROCESSED), replace(FAILED, user=B))
    assert await due(connection) == {(A, "rebuild"), (B, "failed")}
