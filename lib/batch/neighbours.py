"""The indexed copy of the vectors, where there is one, brought up to date after a run."""

import asyncio
from uuid import UUID

from lib.store import copies
from lib.store.database import Database

SLICE = 500
"""So many changes go together: seconds of work for the index, by how large it is."""


async def refresh_neighbours(database: Database, run: UUID, stop_at: float) -> int:
    """Copy what has changed, if the run is through; return how many changes those were.

    `stop_at`: no slice is begun after this time of the event loop; what is left waits for the next
    run. Raises Unavailable.
    """
    async with database.connection() as connection:
        if not await copies.to_refresh(connection, run):
            return 0
    copied = 0
    while asyncio.get_running_loop().time() < stop_at:
        async with database.connection() as connection:
            taken = await copies.refresh(connection, SLICE)
        copied += taken
        if taken < SLICE:
            break
    return copied
