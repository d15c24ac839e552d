"""What the database holds, in bytes, and what the indexes on the log cost its writers."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import count
from uuid import UUID

from bench.platform import Connection, Platform
from bench.spread import Spread, side_by_side

TABLES = ("action_log", "user_embeddings", "post_embeddings")
INDEXES = ("action_log_user_created", "action_log_created")
BATCH, BATCHES = 1000, 20
ROUNDS = 10
"""So that 200,000 actions are written to either log, where there are enough users."""

TABLE_SIZE = """
SELECT pg_table_size($1::REGCLASS), pg_indexes_size($1::REGCLASS)
"""

INDEX_SIZE = """
SELECT pg_relation_size($1::REGCLASS)
"""

BARE_LOG = """
CREATE TABLE bare_log (LIKE action_log INCLUDING IDENTITY INCLUDING DEFAULTS, PRIMARY KEY (id))
"""

FILL_BARE_LOG = """
INSERT INTO bare_log (user_id, post_id, action_type, created_at)
SELECT user_id, post_id, action_type, created_at FROM action_log ORDER BY id
"""

DROP_BARE_LOG = """
DROP TABLE bare_log
"""

WRITE_INDEXED = """
INSERT INTO action_log (user_id, post_id, action_type)
SELECT * FROM unnest($1::UUID[], $2::UUID[], $3::TEXT[])
"""

WRITE_BARE = """
INSERT INTO bare_log (user_id, post_id, action_type)
SELECT * FROM unnest($1::UUID[], $2::UUID[], $3::TEXT[])
"""

ROWS = """
SELECT count(*) FROM action_log
"""


@dataclass(frozen=True)
class Size:
    """Bytes of a table and of all its indexes."""

    table: int
    indexes: int


@dataclass(frozen=True)
class Writing:
    """What the indexes of `db/indexes.sql` cost.

    `fresh`, `used`: bytes an action of each, once built and after `written` actions more than the
    `rows` there were; `indexed`, `bare`: microseconds an action with and without them.
    """

    rows: int
    written: int
    fresh: Mapping[str, float]
    used: Mapping[str, float]
    indexed: Spread
    bare: Spread


async def sizes(connection: Connection) -> dict[str, Size]:
    """Return the size of each table that a run reads or writes."""
    return {name: Size(*await connection.fetchrow(TABLE_SIZE, name)) for name in TABLES}


async def writing(platform: Platform) -> Writing:
    """Write to the log and to a copy of it without the indexes, by turns, in batches of BATCH."""
    connection, rounds = platform.connection, count()
    rows = await connection.fetchval(ROWS)
    fresh = await _bytes_each(connection)
    await connection.execute(BARE_LOG)
    try:
        await connection.execute(FILL_BARE_LOG)
        write = partial(_write, platform, rounds)
        taken = await side_by_side(
            ROUNDS, {name: partial(write, name) for name in (WRITE_BARE, WRITE_INDEXED)}
        )
    finally:
        await connection.execute(DROP_BARE_LOG)
    used = await _bytes_each(connection)
    written = await connection.fetchval(ROWS) - rows
    return Writing(rows, written, fresh, used, taken[WRITE_INDEXED], taken[WRITE_BARE])


async def _write(platform: Platform, rounds: Iterator[int], statement: str) -> float:
    """Insert BATCHES batches of made-up actions; return microseconds an action."""
    log = platform.world.round(next(rounds))
    ids = [[UUID(bytes=each.tobytes()) for each in column] for column in (log.users, log.posts)]
    kinds = [kind.decode() for kind in log.types]
    batches = [[column[part] for column in (*ids, kinds)] for part in _parts(len(kinds))]
    begun = time.perf_counter()
    for batch in batches:
        await platform.connection.execute(statement, *batch)
    return 1e6 * (time.perf_counter() - begun) / sum(len(batch[0]) for batch in batches)


def _parts(rows: int) -> list[slice]:
    return [slice(at, at + BATCH) for at in range(0, min(rows, BATCH * BATCHES), BATCH)]


async def _bytes_each(connection: Connection) -> dict[str, float]:
    rows = await connection.fetchval(ROWS)
    return {name: await connection.fetchval(INDEX_SIZE, name) / rows for name in INDEXES}
