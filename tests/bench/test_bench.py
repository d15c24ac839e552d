"""The bench itself, on a tiny world: what it compares is the same work."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bench.companion import companion
from bench.contest import disagreement
from bench.course import run_course
from bench.distance import at_distance
from bench.floor import tape_floor
from bench.measure import WITHOUT_REDIS, running
from bench.page import Places, cost, plan, sized, work
from bench.phases import PARTS, REST, phases
from bench.platform import Platform, loaded
from bench.scale.storage import sizes, writing
from bench.schemes import prices
from bench.traffic import traffic
from bench.warmth import warmths
from dev.postgres import Postgres
from dev.valkey import Valkey
from lib.settings import DatabaseSettings

USERS, ACTIONS, POSTS = 1600, 10, 300


OTHER_VECTORS = """
UPDATE user_embeddings
SET embedding = array_fill(0.5, ARRAY[384])::vector, generated_at = clock_timestamp()
"""


@pytest.fixture(scope="module")
def server():
    """A Postgres of its own: the bench sets it up."""
    with Postgres.start() as postgres:
        yield postgres


@pytest.fixture
async def filled(server: Postgres) -> AsyncIterator[Platform]:
    async with loaded(server, USERS, ACTIONS, POSTS) as platform:
        yield platform


@pytest.fixture
async def places(filled: Platform, valkey_empty: Valkey) -> AsyncIterator[Places]:
    async with companion("bench.outside", valkey_empty.address) as urls:
        yield Places(filled.url, urls["redis"], urls["qstash"])


async def vectors(filled: Platform) -> list[tuple[str, str]]:
    rows = await filled.connection.fetch(
        "SELECT user_id::TEXT, embedding::TEXT FROM user_embeddings ORDER BY user_id"
    )
    return [tuple(row) for row in rows]


async def left(filled: Platform) -> int:
    return await filled.connection.fetchval("SELECT count(*) FROM embedding.run_users")


async def test_loop_and_page_make_the_same_vectors(filled: Platform, places: Places):
    async with running(places, WITHOUT_REDIS) as services:
        assert await disagreement(filled, places, services) < 1e-6


async def test_disagreement_is_seen(filled: Platform, places: Places):
    async with running(places, WITHOUT_REDIS | {"MAX_POSTS_PER_USER": "3"}) as services:
        assert await disagreement(filled, places, services) > 1e-3


async def test_run_by_the_functions_process_is_timed_page_by_page(
    filled: Platform, valkey_empty: Valkey
):
    course = await run_course(
        filled, valkey_empty, chains=2, cached=False, page_size=500, rounds=ACTIONS // 2
    )
    assert (course.users, len(course.pages)) == (USERS, 4)
    assert min(course.pages) > 0
    assert course.total > sum(course.pages) / 2000
    assert 10 < course.memory < 500
    assert course.work_list > 16 * USERS
    assert await left(filled) == 0


async def test_vectors_are_there_already_in_the_second_run(filled: Platform, places: Places):
    async with running(places, WITHOUT_REDIS) as services:
        first, second = await warmths(filled, services, 500, 2)
    assert 0.5 < first.hits < 1
    assert second.hits == 1


async def test_runs_are_of_all_users_and_can_be_planned_again(filled: Platform, places: Places):
    async with running(places, WITHOUT_REDIS) as services:
        for size in (500, 100):
            run = await plan(sized(services, size), filled)
            assert (run.users, run.pages) == (USERS, -(-USERS // size))
            assert (await work(services, run, 0))[1] == size
            assert await left(filled) == USERS - size


async def test_floor_writes_again_what_its_pages_wrote(filled: Platform, places: Places):
    async with running(places, WITHOUT_REDIS) as services:
        settings = DatabaseSettings.load(places.environ({}))
        floor = await tape_floor(filled, services, settings, 500, 1000)
        assert floor.users == 1000
        written = await vectors(filled)
        assert len(written) == 1000
        assert await left(filled) == USERS - 1000
        for _ in range(2):
            await filled.connection.execute(OTHER_VECTORS)
            assert await vectors(filled) != written
            await floor.cost()
            assert await vectors(filled) == written
            assert await left(filled) == USERS - 1000
        await floor.database.close()


async def test_phases_account_for_every_part_of_a_page(filled: Platform, places: Places):
    async with running(places, {}) as services:
        settings = DatabaseSettings.load(places.environ({}))
        found = await phases(filled, services, settings, 500, 1000)
    assert {PARTS.get(name) for name in found} >= set(PARTS.values())
    assert {"QStash", "BEGIN and COMMIT", "CLOSE_USERS", REST} <= found.keys()
    assert min(found.values()) > 0


async def test_schemes_are_measured_over_the_same_users_each_by_itself(
    filled: Platform, places: Places
):
    async with running(places, WITHOUT_REDIS) as services:
        found = await prices(filled, services, 1)
    assert next(iter(found)) == "baseline@1"
    assert found["baseline@1"].times.median == 1
    assert {"recommended@1", "recommended@1, without interests"} < found.keys()
    assert min(price.cost.least for price in found.values()) > 0
    written = await filled.connection.fetch("SELECT DISTINCT model_version FROM user_embeddings")
    assert [row["model_version"] for row in written] == ["all-MiniLM-L6-v2/recommended@1#1"]


@pytest.mark.parametrize("pooled", [True, False])
async def test_slice_takes_few_round_trips(filled: Platform, valkey_empty: Valkey, *, pooled: bool):
    found = await traffic(filled, valkey_empty.address, pooled=pooled)
    assert 0 < found.per_slice <= found.round_trips
    assert found.per_slice <= 12, "BEGIN and COMMIT counted"
    assert found.redis_requests == -(-found.redis_bytes // 1_000_000)
    assert found.publishes == 1


async def test_distance_slows_a_page_down_by_its_round_trips(filled: Platform, places: Places):
    async with at_distance(filled, places, 0.05) as far:
        assert far.round_trip == 0.05
        async with running(far, {}) as services:
            assert await cost(sized(services, 100), filled, 100) >= 5


async def test_newest_rounds_can_be_taken_out_and_put_back(filled: Platform):
    query = "SELECT user_id, post_id, action_type, created_at FROM action_log ORDER BY created_at"
    before = await filled.connection.fetch(query)
    await filled.unload_rounds(range(9, ACTIONS))
    assert len(await filled.connection.fetch(query)) == USERS * 9
    await filled.load_rounds(range(9, ACTIONS))
    assert await filled.connection.fetch(query) == before


async def test_indexes_cost_bytes_and_time(filled: Platform):
    found = await writing(filled)
    assert found.rows == USERS * ACTIONS
    assert found.written == 10 * USERS
    assert min(found.fresh.values()) > 30
    assert found.indexed.median > 0
    assert (await sizes(filled.connection))["action_log"].indexes > 0


async def test_companion_that_says_nothing_is_an_error(tmp_path: Path):
    with pytest.raises(RuntimeError, match="expected a line from"):
        async with companion("bench.load", f"postgresql:///none?host={tmp_path}", *[1] * 6):
            pass
