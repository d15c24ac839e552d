"""Bad data over a whole page: any numbers, any times, any amounts; and one user with a million."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from uuid import UUID

import asyncpg
import hypothesis
import numpy as np
import pytest
from asyncpg import Connection
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from valkey.asyncio import Valkey as Redis

from bench.machine import memory
from lib.embedding.schemes import find_scheme
from tests.conftest import Start, trigger
from tests.faults.platform import POSTS, TABLES, USERS
from tests.promises import assert_mirrored, open_work, rows
from tests.reference import cosine
from tests.scene import MODEL, RARE, TYPES, build, embed
from tests.store.test_query_plans import CASES, explain
from tests.tally import Tally

pytestmark = [pytest.mark.fault(12), pytest.mark.timeout(600)]

EXAMPLES, EXAMPLES_LONG = 15, 300
WINDOW = 600.0
ROUTE = "/api/actions/batch-process"

NOW = datetime.now(UTC)
BEYOND = {
    "-infinity": "0001-01-02",
    "4713-01-01 BC": "0001-01-03",
    "294276-12-31": "9999-12-30",
    "infinity": "9999-12-31",
}
"""Times that Python cannot say, with others in the same order that it can."""
TIMES = (
    *BEYOND,
    *(str(NOW - timedelta(days=days)) for days in (36_501, 91, 89, 1, 0, -1, -36_500)),
)
COMPONENTS = (0.0, -0.0, 1.0, -1.0, 1e-45, 1.2e-38, 1e-20, 1e20, 3.4e38, -3.4e38)
ADD = (
    "INSERT INTO action_log (user_id, post_id, action_type, created_at)"
    " SELECT $1, $2, $3, $4::TEXT::TIMESTAMPTZ FROM generate_series(1, $5)"
)
SAY = (
    "UPDATE action_log SET created_at = $2::TEXT::TIMESTAMPTZ"
    " WHERE created_at = $1::TEXT::TIMESTAMPTZ"
)

type Act = tuple[UUID, UUID, str, str, int]
"""Who did what to which post, when, and how many times."""


@dataclass(frozen=True)
class Platform:
    """`vectors`: what the first posts' embeddings repeat until there are 384 numbers."""

    vectors: Sequence[Sequence[float]]
    acts: Sequence[Act]


numbers = st.one_of(
    st.sampled_from(COMPONENTS), st.floats(width=32, allow_nan=False, allow_infinity=False)
)


def happened(seed: int) -> list[Act]:
    """Make up what users did, evenly: Hypothesis would have most of it alike."""
    random = Random(seed)
    return [
        (
            random.choice(USERS),
            random.choice(POSTS),
            random.choice(TYPES if random.random() < 0.8 else RARE),
            random.choice(TIMES),
            random.choice((1, 1, 1, 2, 60)),
        )
        for _ in range(120)
    ]


platforms = st.builds(
    Platform,
    st.lists(st.lists(numbers, min_size=1, max_size=5), min_size=6, max_size=len(POSTS)),
    st.integers(0, 2**32).map(happened),
).filter(lambda platform: any(map(any, platform.vectors)))  # or there is nothing to centre on


async def rebuild(connection: Connection, platform: Platform) -> None:
    """Let there be this platform and nothing else."""
    await connection.execute(
        f"TRUNCATE {await connection.fetchval(TABLES)} RESTART IDENTITY CASCADE"
    )
    for user in USERS:
        await connection.execute("INSERT INTO users VALUES ($1)", user)
    for post in POSTS:
        await connection.execute("INSERT INTO posts (id) VALUES ($1)", post)
    for post, vector in zip(POSTS, platform.vectors, strict=False):
        await embed(connection, post, np.resize(vector, 384))
    await connection.executemany(ADD, platform.acts)
    # who acted too early or too late for the first window is asked for
    await connection.execute(
        "INSERT INTO embedding.due (user_id, reason) SELECT id, 'rebuild' FROM users"
    )


@pytest.mark.parametrize("name", ["baseline", "decay", "recommended"])
async def test_page_of_any_numbers_times_and_amounts_is_the_reference_s(  # noqa: PLR0917  # fixtures
    start: Start,
    connection: Connection,
    redis: Redis,
    tally: Tally,
    long: bool,  # noqa: FBT001
    name: str,
):
    stack = await start({"EMBEDDING_SCHEME": name})
    loop, made = asyncio.get_running_loop(), 0

    async def hold(platform: Platform) -> None:
        nonlocal made
        await rebuild(connection, platform)
        await redis.flushall()
        stack.broker.clock.jump(2 * WINDOW)
        await trigger(stack)
        assert {delivery.status for delivery in await stack.broker.drain()} == {200}
        assert await connection.fetchval("SELECT count(*) FROM embedding.failures") == 0
        assert await open_work(connection) == (0, 0)
        await connection.executemany(SAY, BEYOND.items())
        made += await tally.converged(connection, redis, USERS, find_scheme(name))
        tally.tried += 1

    @hypothesis.seed(tally.seed())
    @settings(
        max_examples=EXAMPLES_LONG if long else EXAMPLES,
        database=None,
        phases=(Phase.generate,),  # a seed repeats it
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @given(platforms)
    def example(platform: Platform) -> None:
        asyncio.run_coroutine_threadsafe(hold(platform), loop).result()

    await asyncio.to_thread(example)
    tally.notes.append(f"{made} vectors")
    assert made > tally.tried


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e39"])
async def test_column_of_vectors_lets_in_no_number_that_is_none(
    connection: Connection, tally: Tally, number: str
):
    """So nothing but a vector's length, its absence and its size can be wrong with it."""
    scene = await build(connection, users=1)
    text = f"[{','.join([number] * 384)}]"
    for value in (
        "$2::TEXT::vector",
        "translate($2, '[]', '{}')::FLOAT4[]::vector",
        "translate($2, '[]', '{}')::FLOAT8[]::vector",
        "$2::TEXT::halfvec::vector",
    ):
        with pytest.raises(asyncpg.DataError):
            await connection.execute(
                f"UPDATE post_embeddings SET embedding = {value} WHERE post_id = $1",  # noqa: S608  # one of those above
                scene.posts[0],
                text,
            )
        tally.tried += 1
    with np.errstate(over="ignore"):
        binary = np.full(384, float(number)).astype(np.float32)
    with pytest.raises(asyncpg.DataError):
        await embed(connection, scene.posts[0], binary)


MILLION = 1_000_000
MANY_POSTS = 2000
GROWTH = 40.0  # MB; a million records alone are 42
FILL = f"""
INSERT INTO posts (id) SELECT md5(n::TEXT)::UUID FROM generate_series(1, {MANY_POSTS}) n;
INSERT INTO post_embeddings (post_id, embedding, model_version)
  SELECT
    md5(n::TEXT)::UUID,
    (SELECT array_agg(sin(n * 384 + i)) FROM generate_series(1, 384) i)::vector,
    '{MODEL}'
  FROM generate_series(1, {MANY_POSTS}) n;
INSERT INTO action_log (user_id, post_id, action_type, created_at)
  SELECT
    '{{user}}',
    -- some posts far more often than others
    md5((1 + floor({MANY_POSTS} * power(n * 0.6180339887 % 1, 2)))::TEXT)::UUID,
    (ARRAY['view_post', 'like_post', 'comment_post', 'view_post'])[n % 4 + 1],
    now() - n * INTERVAL '6 seconds'
  FROM generate_series(1, {MILLION}) n;
"""  # noqa: S608  # the numbers above
STRONGEST = """
SELECT embedding, weight
FROM (
  SELECT post_id, sum(CASE action_type WHEN 'view_post' THEN 1 WHEN 'like_post' THEN 5 ELSE 8 END)
    AS weight
  FROM action_log
  WHERE user_id = $1
  GROUP BY post_id
  ORDER BY weight DESC, post_id
  LIMIT 1000
) AS strongest
JOIN post_embeddings USING (post_id)
"""


@pytest.mark.timeout(300)
async def test_user_who_did_a_million_things_is_one_of_a_page_that_stays_small_and_uses_the_index(
    start: Start, connection: Connection, redis: Redis, tally: Tally
):
    """The actions are of 70 days, on 2,000 posts, of which the strongest 1,000 count."""
    scene = await build(connection, users=200)
    stack = await start()
    await trigger(stack)
    await stack.broker.drain()
    process = stack.functions.pid(ROUTE)
    before = memory(process)
    user, others = scene.users[100], [*scene.users[:100], *scene.users[101:]]
    await connection.execute("DELETE FROM action_log WHERE user_id = $1", user)
    await connection.execute(FILL.format(user=user))
    await connection.execute("ANALYZE")
    await connection.execute(
        "INSERT INTO embedding.due (user_id, reason) SELECT id, 'rebuild' FROM users"
    )
    await trigger(stack)
    assert {delivery.status for delivery in await stack.broker.drain()} == {200}
    assert stack.functions.pid(ROUTE) == process
    grown = memory(process) - before
    tally.notes.append(f"{grown:.0f} MB more")
    assert grown < GROWTH
    statement, arguments, indexes = CASES["actions of a slice"]
    used, scanned = await explain(connection, statement, arguments(scene.users))
    assert "action_log" not in scanned
    assert indexes <= used
    strongest = await connection.fetch(STRONGEST, user)
    wanted = sum(float(row["weight"]) * row["embedding"].to_numpy() for row in strongest)
    stored = (await rows(connection))[user]
    assert cosine(stored.embedding, wanted.tolist()) >= 0.999999
    await assert_mirrored(connection, redis)
    # the reference would take a day for these
    await connection.execute("DELETE FROM action_log WHERE user_id = $1", user)
    await connection.execute("DELETE FROM users WHERE id = $1", user)
    await redis.delete(f"user:{user}:embedding")
    await tally.converged(connection, redis, others)
