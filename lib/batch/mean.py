"""The mean that centred schemes take off: made once, replaced when its posts have moved."""

from dataclasses import dataclass
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from lib.embedding import DIMENSIONS
from lib.embedding.aggregate import lengths
from lib.errors import Unavailable
from lib.store import means, posts, runs
from lib.store.database import Connection, Database
from lib.store.means import Mean

SAMPLE = 20_000
"""So many posts tell the mean to 0.007 (that is its standard error, at unit length)."""

MOVED = 0.05
"""A mean that is so many posts' lengths away from theirs is replaced. Text embeddings' own mean is
0.37 to 0.51 long."""

FETCH = 2048
"""So many vectors are asked for at a time: 3 MB."""

LOOKED_AT = timedelta(days=1)


@dataclass(frozen=True)
class _Average:
    """Of `count` embeddings: how long they are, and their mean, (384,)."""

    count: int
    size: float
    vector: NDArray[np.float64]


async def current_mean(database: Database, model: str) -> Mean:
    """Return the model's newest mean; make the first. Raises Unavailable without any post."""
    async with database.connection() as connection:
        found = await means.newest(connection, model)
    return found or await _renew(database, model)


async def look_at_mean(database: Database, model: str) -> None:
    """Compare the mean with the posts there are, once a day, and store a new one if it moved.

    Vectors name their mean: those of another are made anew as their users become due. A mean stays
    where no post is left; raises Unavailable without either.
    """
    async with database.connection() as connection:
        checked_at = await means.last_check(connection, model)
        now = await runs.clock(connection)
    if checked_at is None or now - checked_at >= LOOKED_AT:
        await _renew(database, model)


async def _renew(database: Database, model: str) -> Mean:
    async with database.connection() as connection, connection.transaction():
        await means.lock_means(connection)
        held = await means.newest(connection, model)
        found = await _average(connection, model)
        moved = 0.0
        if held and found:
            moved = float(np.linalg.norm(found.vector - held.vector)) / found.size
        if found and (held is None or moved > MOVED):
            held = await means.insert(connection, model, found.count, found.vector)
        if held is None:
            raise Unavailable(f"expected posts embedded by {model} to centre on, found none")
        await means.record_check(connection, model, moved)
    return held


async def _average(connection: Connection, model: str) -> _Average | None:
    """Take the average of a sample of posts, of those that have a direction; None without any."""
    chosen = await means.sample(connection, model, SAMPLE)
    total, size, count = np.zeros(DIMENSIONS), 0.0, 0
    for first in range(0, len(chosen), FETCH):
        vectors, _ = await posts.read_embeddings(connection, chosen[first : first + FETCH], model)
        sizes = lengths(vectors)
        total += vectors[sizes > 0].sum(axis=0, dtype=np.float64)
        size += float(sizes.sum())
        count += int(np.count_nonzero(sizes))
    return _Average(count, size / count, total / count) if count else None
