"""Actions that commit late: whatever the delay within the overlap, the next run finds them."""

from datetime import timedelta

import pytest
from asyncpg import Connection

from lib.store import runs
from tests.scene import act, build, connect
from tests.tally import Tally

OVERLAP = timedelta(hours=1)
END_RUNS = "UPDATE embedding.runs SET finished_at = now() WHERE finished_at IS NULL"
ROUNDS, ROUNDS_LONG = 40, 400


@pytest.mark.fault(15)
@pytest.mark.timeout(600)
async def test_action_that_commits_within_the_overlap_is_planned_by_some_run(
    connection: Connection,
    database_url: str,
    tally: Tally,
    long: bool,  # noqa: FBT001
):
    """A writer stays open over a random number of plans; the plans go by the database's clock."""
    random = tally.dice()
    scene = await build(connection, users=10)
    await plan(connection, None)
    writer = await connect(database_url)
    try:
        for _ in range(ROUNDS_LONG if long else ROUNDS):
            user = random.choice(scene.users)
            slow = writer.transaction()
            await slow.start()
            await act(writer, user, random.choice(scene.posts))
            for _ in range(random.randint(1, 3)):
                await plan(connection, OVERLAP)
                await connection.execute("DELETE FROM embedding.run_users")
            await slow.commit()
            await plan(connection, OVERLAP)
            planned = await connection.fetch("SELECT user_id FROM embedding.run_users")
            tally.tried += 1
            tally.users += 1
            tally.lost += user not in {row["user_id"] for row in planned}
            assert tally.lost == 0
            await connection.execute("DELETE FROM embedding.run_users")
    finally:
        await writer.close()


async def plan(connection: Connection, overlap: timedelta | None) -> None:
    """Plan as a tick does, and end the run at once; without an overlap from the beginning."""
    await connection.execute(END_RUNS)
    now = await runs.clock(connection)
    end = await runs.planned_until(connection, now)
    start = end - overlap if end and overlap else now - timedelta(days=90)
    await runs.create_run(connection, (start, now), None, 100, 1)
