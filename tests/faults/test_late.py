"""Actions that commit late: whatever the delay within the overlap, the next run finds them."""

from collections.abc import AsyncIterator

import pytest
from asyncpg import Connection

from lib.batch import Services, start_run
from tests.conftest import Start
from tests.scene import act, build, connect
from tests.tally import Tally

END_RUNS = "UPDATE embedding.runs SET finished_at = now() WHERE finished_at IS NULL"
ROUNDS, ROUNDS_LONG = 40, 400


@pytest.fixture
async def services(start: Start) -> AsyncIterator[Services]:
    """What a tick works with."""
    stack = await start({"WINDOW_OVERLAP_SECONDS": "3600"})
    loaded = Services.load(stack.environ)
    yield loaded
    await loaded.close()


@pytest.mark.fault(15)
@pytest.mark.timeout(600)
async def test_action_that_commits_within_the_overlap_is_planned_by_some_run(
    connection: Connection,
    database_url: str,
    services: Services,
    tally: Tally,
    long: bool,  # noqa: FBT001
):
    """A writer stays open over a random number of ticks, which go by the database's clock."""
    random = tally.dice()
    scene = await build(connection, users=10)
    await plan(connection, services)
    writer = await connect(database_url)
    try:
        for _ in range(ROUNDS_LONG if long else ROUNDS):
            user = random.choice(scene.users)
            slow = writer.transaction()
            await slow.start()
            await act(writer, user, random.choice(scene.posts))
            for _ in range(random.randint(1, 3)):
                await plan(connection, services)
            await slow.commit()
            await plan(connection, services)
            planned = await connection.fetch("SELECT user_id FROM embedding.run_users")
            tally.tried += 1
            tally.users += 1
            tally.lost += user not in {row["user_id"] for row in planned}
            assert tally.lost == 0
    finally:
        await writer.close()


async def plan(connection: Connection, services: Services) -> None:
    """Plan as a tick does; what an earlier one planned is over, and its list is gone."""
    await connection.execute(END_RUNS)
    await connection.execute("DELETE FROM embedding.run_users")
    assert (await start_run(services)).planned
