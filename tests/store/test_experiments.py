import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from uuid import UUID, uuid4

import asyncpg
import pytest

from lib.embedding import RETRACTIONS
from lib.embedding.schemes import WEIGHTS
from lib.store import experiments
from lib.store.experiments import READ_OUTCOMES, USERS, read_outcomes, record
from tests.scene import RARE, TYPES, act
from tests.store.test_query_plans import explain, nodes

ON_PLATFORMS = ["tables", "views"]

A, B, C = (UUID(int=n) for n in range(1, 4))
DAYS = 7
SPAN = timedelta(days=DAYS)
SECOND = timedelta(seconds=1)


async def sign_up(connection: asyncpg.Connection, *users: UUID) -> None:
    await connection.executemany("INSERT INTO users (id) VALUES ($1)", [(user,) for user in users])


async def clock(connection: asyncpg.Connection) -> datetime:
    return await connection.fetchval("SELECT clock_timestamp()")


async def held(connection: asyncpg.Connection) -> list[tuple[str, UUID, str, datetime]]:
    rows = await connection.fetch("TABLE embedding.exposures ORDER BY experiment, user_id")
    return [tuple(row) for row in rows]


type Seen = tuple[str, bool, float, float]


async def seen(connection: asyncpg.Connection, experiment: str = "tastes") -> list[Seen]:
    """Return (scheme, over, before, after) of each user, in the order of their ids."""
    return [
        (scheme, bool(over), float(before), float(after))
        async for page in read_outcomes(connection, experiment, WEIGHTS, DAYS)
        for scheme, over, before, after in zip(
            page.schemes, page.over, page.before, page.after, strict=True
        )
    ]


# What is remembered


async def test_first_exposure_stays(connection: asyncpg.Connection):
    now = await clock(connection)
    await sign_up(connection, A, B)
    await record(connection, "tastes", [A], "decay@1", now)
    await record(connection, "tastes", [B, A], "centred@1", now + SECOND)
    await record(connection, "tastes", [A], "decay@1", now - SECOND)
    assert await held(connection) == [
        ("tastes", A, "decay@1", now),
        ("tastes", B, "centred@1", now + SECOND),
    ]


async def test_experiments_are_remembered_apart(connection: asyncpg.Connection):
    now = await clock(connection)
    await sign_up(connection, A)
    await record(connection, "tastes", [A], "decay@1", now - 2 * SPAN)
    await record(connection, "others", [A], "centred@1", now - 2 * SPAN)
    assert await seen(connection) == [("decay@1", True, 0, 0)]
    assert await seen(connection, "others") == [("centred@1", True, 0, 0)]
    assert await seen(connection, "none") == []


async def test_only_users_who_exist_are_remembered(connection: asyncpg.Connection):
    await sign_up(connection, B)
    now = await clock(connection)
    await record(connection, "tastes", [A, B, C], "decay@1", now)
    await record(connection, "tastes", [], "decay@1", now)
    assert [user for _, user, _, _ in await held(connection)] == [B]


async def test_user_who_is_deleted_is_forgotten(connection: asyncpg.Connection):
    await sign_up(connection, A)
    await record(connection, "tastes", [A], "decay@1", await clock(connection))
    await connection.execute("DELETE FROM users")
    assert await held(connection) == []


# What they did


@dataclass(frozen=True)
class Action:
    post: UUID
    kind: str
    at: datetime


def outcome(log: Sequence[Action], since: datetime) -> tuple[float, float]:
    """Return what one user did before and after, one action at a time; `log` in order of ids."""
    sums = []
    for start in (since - SPAN, since):
        period = sorted(
            (action for action in log if start <= action.at < start + SPAN), key=lambda one: one.at
        )
        sums.append(
            sum(
                WEIGHTS.get(action.kind, 0)
                for place, action in enumerate(period)
                if not any(
                    later.post == action.post and RETRACTIONS.get(later.kind) == action.kind
                    for later in period[place:]
                )
            )
        )
    return sums[0], sums[1]


async def test_outcomes_are_what_a_loop_over_the_actions_comes_to(connection: asyncpg.Connection):
    random, now = Random(3), await clock(connection)
    posts = [uuid4() for _ in range(4)]
    wanted = []
    for number in range(1, 61):
        user = UUID(int=number)
        since = now - timedelta(days=random.uniform(0, 20))
        log = [
            Action(
                random.choice(posts),
                random.choice(TYPES + RARE),
                # some at the very edges, some at the same moment
                since + random.choice([-SPAN, -SECOND, 0 * SPAN, SPAN, SPAN - SECOND])
                if random.random() < 0.3
                else since + timedelta(hours=random.randint(-200, 200)),
            )
            for _ in range(random.randint(0, 40))
        ]
        await sign_up(connection, user)
        await connection.executemany(
            "INSERT INTO action_log (user_id, post_id, action_type, created_at)"
            " VALUES ($1, $2, $3, $4)",
            [(user, action.post, action.kind, action.at) for action in log],
        )
        scheme = random.choice(["baseline@1", "decay@1"])
        await record(connection, "tastes", [user], scheme, since)
        over = since + SPAN <= now
        wanted.append((scheme, over, *(outcome(log, since) if over else (0, 0))))
    found = await seen(connection)
    assert found == wanted
    assert {over for _, over, _, _ in found} == {True, False}
    assert sum(before > 0 and after > 0 for _, _, before, after in found) > 20


async def test_what_is_taken_back_afterwards_still_counts_before(connection: asyncpg.Connection):
    since, post = await clock(connection) - SPAN, uuid4()
    await sign_up(connection, A)
    await act(connection, A, post, "like_post", since - SECOND)
    await act(connection, A, post, "unlike_post", since)
    await act(connection, A, post, "share_post", since)
    await record(connection, "tastes", [A], "decay@1", since)
    assert await seen(connection) == [("decay@1", True, 5, 10)]


async def test_days_that_are_not_over_are_not_looked_at(connection: asyncpg.Connection):
    since = await clock(connection) - SPAN + timedelta(minutes=1)
    await sign_up(connection, A)
    for at in (since - SECOND, since):
        await act(connection, A, uuid4(), "like_post", at)
    await record(connection, "tastes", [A], "decay@1", since)
    assert await seen(connection) == [("decay@1", False, 0, 0)]


async def test_whoever_asked_to_be_forgotten_is_left_out(connection: asyncpg.Connection):
    since = await clock(connection) - SPAN
    await sign_up(connection, A, B)
    await record(connection, "tastes", [A, B], "decay@1", since)
    await connection.execute(
        "INSERT INTO embedding.erasures VALUES ($1, clock_timestamp(), '{}', false)", A
    )
    assert len(await seen(connection)) == 1


@pytest.mark.parametrize("count", [0, 1, USERS - 1, USERS, USERS + 1, 2 * USERS])
async def test_every_user_is_read_once(connection: asyncpg.Connection, count: int):
    """The first of them erased, so that a page has fewer than it was cut for."""
    await connection.execute(
        "INSERT INTO users SELECT lpad(to_hex(n), 32, '0')::UUID FROM generate_series(0, $1) n",
        count,
    )
    await connection.execute(
        "INSERT INTO embedding.exposures SELECT 'tastes', id, 'decay@1', now() FROM users"
    )
    await connection.execute(
        "INSERT INTO embedding.erasures VALUES ($1, clock_timestamp(), '{}', false)", UUID(int=0)
    )
    pages = [page async for page in read_outcomes(connection, "tastes", WEIGHTS, DAYS)]
    assert sum(len(page.schemes) for page in pages) == count
    assert max(len(page.schemes) for page in pages) <= USERS


# How it is found

FILL = """
INSERT INTO users SELECT lpad(to_hex(n), 32, '0')::UUID FROM generate_series(0, 9999) n;
INSERT INTO action_log (user_id, post_id, action_type, created_at)
  SELECT lpad(to_hex(n % 5000), 32, '0')::UUID, gen_random_uuid(), 'like_post',
    now() - n * interval '2 minutes'
  FROM generate_series(0, 49999) n;
INSERT INTO embedding.exposures
  SELECT experiment, id, 'decay@1', now() - interval '20 days'
  FROM users CROSS JOIN unnest('{tastes,others,more,most}'::TEXT[]) AS experiment;
INSERT INTO embedding.erasures
  SELECT lpad(to_hex(n * 10), 32, '0')::UUID, now(), '{}', false FROM generate_series(0, $$ - 1) n;
"""
ARGUMENTS = (
    "tastes",
    UUID(int=0),
    500,
    SPAN,
    list(WEIGHTS),
    list(WEIGHTS.values()),
    list(RETRACTIONS),
    list(RETRACTIONS.values()),
)


@pytest.mark.parametrize("erased", [0, 1000])
async def test_outcomes_are_found_by_index(own: asyncpg.Connection, erased: int):
    await own.execute(FILL.replace("$$", str(erased)))
    await own.execute("VACUUM ANALYZE")
    used, scanned = await explain(own, READ_OUTCOMES, ARGUMENTS)
    [log] = used - {"exposures_pkey", "erasures_pkey"}
    assert log.startswith(("action_log_user_created", "events_actor_happened"))
    assert not scanned
    said = await own.fetchval("EXPLAIN (FORMAT JSON) " + READ_OUTCOMES, *ARGUMENTS)
    conditions = {
        node["Index Name"]: node.get("Index Cond", "")
        for node in nodes(json.loads(said)[0]["Plan"])
        if "Index Name" in node
    }
    assert "user_id" in conditions["exposures_pkey"]
    assert conditions[log].count(" AND ") == 2


async def test_those_exposed_are_recorded_by_index(own: asyncpg.Connection):
    await own.execute(FILL.replace("$$", "0"))
    await own.execute("VACUUM ANALYZE")
    users = [UUID(int=n) for n in range(500)]
    said = await own.fetchval(
        "EXPLAIN (FORMAT JSON) " + experiments.RECORD,
        "others",
        users,
        "decay@1",
        await clock(own),
    )
    found = [node for node in nodes(json.loads(said)[0]["Plan"]) if node.get("Alias") == "users"]
    assert [node["Index Name"] for node in found] == ["users_pkey"]
    assert all("Index Cond" in node for node in found)
