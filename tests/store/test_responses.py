"""What the users of an experiment were shown, and acted on."""

from datetime import timedelta
from random import Random
from uuid import UUID

import asyncpg
import pytest

from lib.embedding.schemes import WEIGHTS
from lib.store.experiments import record
from lib.store.responses import READ_RESPONSES, USERS, read_responses
from tests.scene import RARE, TYPES
from tests.store.test_query_plans import explain

A, B, C = (UUID(int=n) for n in range(1, 4))
HOUR = timedelta(hours=1)

type Counts = tuple[str, list[int], list[int]]


async def found(connection: asyncpg.Connection, experiment: str = "tastes") -> list[Counts]:
    """Return (scheme, shown, acted) of each user, in the order of their ids."""
    return [
        counts
        async for page in read_responses(connection, experiment, WEIGHTS)
        for counts in zip(page.schemes, page.shown.tolist(), page.acted.tolist(), strict=True)
    ]


async def sign_up(connection: asyncpg.Connection, *users: UUID) -> None:
    await connection.executemany("INSERT INTO users (id) VALUES ($1)", [(user,) for user in users])


async def test_counts_are_those_of_a_loop_over_what_was_shown(connection: asyncpg.Connection):
    random = Random(7)
    now = await connection.fetchval("SELECT clock_timestamp()")
    wanted = []
    for number in range(1, 41):
        user, scheme = UUID(int=number), random.choice(["baseline@1", "decay@1"])
        await sign_up(connection, user)
        await record(connection, "tastes", [user], scheme, now - 24 * HOUR)
        shown, acted = [0, 0], [0, 0]
        for _ in range(random.randint(0, 4)):
            rec_id, hours = UUID(int=random.getrandbits(128)), random.choice([-1, 0, 1, 20])
            await connection.execute(
                "INSERT INTO embedding.showings VALUES ($1, $2, NULL, $3)",
                rec_id,
                user,
                now - 24 * HOUR + hours * HOUR,
            )
            for place in range(random.randint(1, 6)):
                post, at_random = UUID(int=place), random.random() < 0.3
                await connection.execute(
                    "INSERT INTO embedding.impressions (rec_id, post_id, position, propensity)"
                    " VALUES ($1, $2, $3, $4)",
                    rec_id,
                    post,
                    place,
                    0.5 if at_random else None,
                )
                kinds = random.sample(TYPES + RARE, random.choice([0, 0, 1, 2]))
                await connection.executemany(
                    "INSERT INTO embedding.responses VALUES ($1, $2, $3, now())",
                    [(rec_id, post, kind) for kind in kinds],
                )
                if hours >= 0:
                    shown[at_random] += 1
                    acted[at_random] += any(kind in WEIGHTS for kind in kinds)
        wanted.append((scheme, shown, acted))
    assert await found(connection) == wanted
    assert sum(one[2][0] > 0 for one in wanted) > 5
    assert sum(one[2][1] > 0 for one in wanted) > 5


async def test_only_users_of_this_experiment_who_did_not_ask_to_be_forgotten_are_read(
    connection: asyncpg.Connection,
):
    await sign_up(connection, A, B, C)
    since = await connection.fetchval("SELECT clock_timestamp()") - HOUR
    await record(connection, "tastes", [A, B], "decay@1", since)
    await record(connection, "others", [C], "decay@1", since)
    await connection.execute("INSERT INTO embedding.erasures VALUES ($1, now(), '{}', false)", A)
    for user in (A, B, C):
        await connection.execute(
            "INSERT INTO embedding.showings VALUES ($1, $1, NULL, now())", user
        )
        await connection.execute("INSERT INTO embedding.impressions VALUES ($1, $1, 0)", user)
    assert await found(connection) == [("decay@1", [1, 0], [0, 0])]
    assert await found(connection, "none") == []


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
        "INSERT INTO embedding.erasures VALUES ($1, now(), '{}', false)", UUID(int=0)
    )
    pages = [page async for page in read_responses(connection, "tastes", WEIGHTS)]
    assert sum(len(page.schemes) for page in pages) == count
    assert max(len(page.schemes) for page in pages) <= USERS


async def test_responses_are_found_by_index(own: asyncpg.Connection):
    await own.execute(
        "INSERT INTO users SELECT lpad(to_hex(n), 32, '0')::UUID FROM generate_series(1, 5000) n;"
        "INSERT INTO embedding.exposures"
        " SELECT experiment, id, 'decay@1', now() - interval '9 days'"
        " FROM users CROSS JOIN unnest('{tastes,others,more}'::TEXT[]) AS experiment;"
        "INSERT INTO embedding.showings SELECT gen_random_uuid(), id, 'm', now() FROM users"
        " CROSS JOIN generate_series(1, 3);"
        "INSERT INTO embedding.impressions SELECT rec_id, gen_random_uuid(), n"
        " FROM embedding.showings CROSS JOIN generate_series(0, 4) n;"
        "INSERT INTO embedding.responses SELECT rec_id, post_id, 'like_post', now()"
        " FROM embedding.impressions WHERE position < 2"
    )
    await own.execute("VACUUM ANALYZE")
    used, _ = await explain(own, READ_RESPONSES, ("tastes", UUID(int=0), USERS, list(WEIGHTS)))
    assert used >= {"exposures_pkey", "showings_user", "impressions_pkey", "responses_pkey"}
