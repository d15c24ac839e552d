"""Vectors of another scheme beside the live ones: how they compare, and being rid of them."""

import asyncio
from collections.abc import Iterator, Sequence

from lib.settings import DatabaseSettings, Environ
from lib.store import shadows
from lib.store.database import Database
from lib.store.shadows import Likeness

DONE = 0

STEP = 10_000
"""So many are deleted in one transaction."""


def compare(environ: Environ) -> int:
    """Print how near each scheme's shadow vectors are to the live ones.

    Raises SettingError and Unavailable.
    """
    likenesses, missing = asyncio.run(_compare(Database(DatabaseSettings.load(environ))))
    print("\n".join(_lines(likenesses, missing)))
    return DONE


def drop(environ: Environ) -> int:
    """Delete all shadow vectors, a step at a time.

    Raises SettingError and Unavailable.
    """
    asyncio.run(_drop(Database(DatabaseSettings.load(environ))))
    return DONE


async def _compare(database: Database) -> tuple[list[Likeness], int]:
    try:
        async with database.connection() as connection:
            return await shadows.compare(connection), await shadows.missing(connection)
    finally:
        await database.close()


def _lines(likenesses: Sequence[Likeness], missing: int) -> Iterator[str]:
    width = max([len(one.model_version) for one in likenesses], default=0)
    if likenesses:
        yield f"{'':{width}}    users  compared   lowest  a tenth   median     mean"
    for one in likenesses:
        cosines = (one.lowest, one.tenth, one.median, one.mean)
        spelt = " ".join(f"{'-' if cosine is None else f'{cosine:.4f}':>8}" for cosine in cosines)
        yield f"{one.model_version:{width}} {one.users:8} {one.compared:9} {spelt}"
    if not likenesses:
        yield "there are no shadow vectors: EMBEDDING_SHADOW has them made, run by run"
    yield f"{missing} live vectors have no shadow yet"


async def _drop(database: Database) -> None:
    total, dropped = 0, STEP
    try:
        async with database.connection() as connection:
            while dropped == STEP:
                dropped = await shadows.drop_shadows(connection, STEP)
                total += dropped
                print(f"{total} shadow vectors dropped", flush=True)
    finally:
        await database.close()
