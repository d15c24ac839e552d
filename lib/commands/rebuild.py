"""Making everybody due, after a change of the model, the scheme or whatever makes a vector."""

import asyncio
from datetime import timedelta

from lib.settings import DatabaseSettings, Environ, VectorSettings
from lib.store.database import Database
from lib.store.rebuilds import make_due, open_rebuild

DONE = 0

USERS = 10_000
"""So many users are looked at in one transaction: about a second's work."""


def rebuild(environ: Environ) -> int:
    """Put whoever has a vector or acted within the lookback on the next run's list.

    One that was interrupted goes on where it stopped. Prints a line a page; raises SettingError and
    Unavailable.
    """
    database = Database(DatabaseSettings.load(environ))
    asyncio.run(_make_everyone_due(database, VectorSettings.load(environ).lookback))
    print("the next run takes whoever is due")
    return DONE


async def _make_everyone_due(database: Database, lookback: timedelta) -> None:
    try:
        async with database.connection() as connection:
            state = await open_rebuild(connection)
            if state.users:
                print(f"going on with the rebuild of {state.started_at:%Y-%m-%d %H:%M} UTC")
            while not state.finished:
                state = await make_due(connection, state.id, USERS, lookback)
                print(f"{state.users:,} users looked at, {state.due:,} due", flush=True)
    finally:
        await database.close()
