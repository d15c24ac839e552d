"""What is left to a tick besides the run: figures of closed runs summed up, old rows pruned."""

from lib.store import retention
from lib.store.database import Database


async def tidy_up(database: Database) -> None:
    """Sum up closed runs, and delete what is older than it is kept, a bounded number of rows.

    What is left over goes with the next tick. Raises Unavailable.
    """
    async with database.connection() as connection:
        await retention.fold_runs(connection)
        await retention.prune(connection)
