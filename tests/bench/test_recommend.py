"""The bench of recommendations, on a small world."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from bench.recommend.load import Times, contest
from bench.recommend.measure import Findings, Index
from bench.recommend.recall import Recall, recalls
from bench.recommend.report import NOTHING, ROUTE, STATEMENTS, introduction, tables, targets
from bench.recommend.world import EACH, MANY, World, load
from bench.spread import Spread
from lib.settings import DatabaseSettings
from lib.store.database import Database
from tests.conftest import Start

POSTS = 8000


@pytest.fixture(scope="module")
def world() -> World:
    return World.of(POSTS)


@pytest.fixture
async def database(
    database_url: str, connection: asyncpg.Connection, world: World
) -> AsyncIterator[Database]:
    await load(connection, world)
    made = Database(DatabaseSettings(database_url, pooled=True))
    yield made
    await made.close()


async def test_all_are_found_where_every_post_is_looked_at(database: Database, world: World):
    found = await recalls(database, world, exactly=True)
    assert found.keys() == world.users.keys()
    assert {recall.worst for recall in found.values()} == {1.0}


@pytest.mark.usefixtures("database")
async def test_route_and_statements_answer_everybody(
    start: Start, database: Database, world: World, connection: asyncpg.Connection
):
    users = [user for kind in world.users.values() for user in kind[:6]]
    found = await contest(await start(), database, users, rounds=1)
    assert found.keys() == {ROUTE, STATEMENTS, NOTHING}
    # 16 to begin with, then all, by the route and by its statements
    assert await connection.fetchval("SELECT count(*) FROM embedding.showings") == 2 * (16 + 24)


def test_nobody_is_near_to_what_is_known(world: World):
    for users in world.users.values():
        assert len(users) == EACH
        for user in users:
            near = world.nearest(user, 20)
            assert len(near) == 20
            assert not near & {world.posts[place] for place in user.known}
    [*_, many] = world.users.values()
    assert all(4000 < len(user.known) <= MANY for user in many)


def findings(recall: float, times: float) -> Findings:
    kinds = {"some": Recall(recall, recall, Spread(1, 1, 1))}
    index = Index(3.0, 1656.0, kinds)
    bare = Times(100.0, 200.0, 50.0)
    route = Times(100.0 * times, 200.0 * times, 50.0)
    under_load = {ROUTE: route, STATEMENTS: bare, NOTHING: bare}
    return Findings("make bench-recommend", 85.0, 100_000, index, index, kinds, under_load)


@pytest.mark.parametrize(
    ("recall", "times", "kept"),
    [(0.98, 2.0, [True] * 3), (0.979, 1.0, [False, True, True]), (1, 2.1, [True, False, False])],
)
def test_target_is_kept_or_missed(recall: float, times: float, kept: list[bool]):
    assert [target.kept for target in targets(findings(recall, times))] == kept


def test_everything_is_told():
    told = introduction(findings(0.99, 1.5))
    told += "".join(table.markdown() for table in tables(findings(0.99, 1.5)))
    for word in ("100,000 posts", "0.990", "1.50", ROUTE, STATEMENTS, NOTHING, "1,656"):
        assert word in told
