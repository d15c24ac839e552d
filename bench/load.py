"""A world written into the tables of `db/platform.sql`, as fast as Postgres takes it.

`python -m bench.load URL USERS ACTIONS POSTS NOW FIRST LAST`: says `{}` when it is done.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterable

import asyncpg
import numpy as np

from bench.tuples import END, HEAD, pack
from bench.world import MODEL, World

SECONDS = 600.0
ROWS = 200_000
POSTS = 10_000  # whose vectors go in one piece

BARE_POSTS = """
INSERT INTO posts (id) SELECT post_id FROM post_embeddings
"""

type Connection = asyncpg.Connection[asyncpg.Record]


async def load_platform(connection: Connection, world: World) -> None:
    """Write users, posts and their vectors."""
    users, posts = world.user_ids(), world.post_ids()
    models = np.full(world.posts, MODEL)
    vectors = world.post_vectors()
    pieces = [slice(at, at + POSTS) for at in range(0, world.posts, POSTS)]
    await _copy(connection, "users", ("id",), (pack(users),))
    await _copy(connection, "posts", ("id",), (pack(posts),))
    await _copy(
        connection,
        "post_embeddings",
        ("post_id", "embedding", "model_version"),
        (pack(posts[piece], vectors[piece], models[piece]) for piece in pieces),
    )


async def load_log(connection: Connection, world: World, rounds: range) -> None:
    """Write these rounds of the log, in order of time."""
    await _copy(
        connection,
        "action_log",
        ("user_id", "post_id", "created_at", "action_type"),
        (
            pack(log.users[part], log.posts[part], log.times[part].astype(">i8"), log.types[part])
            for log in map(world.round, rounds)
            for part in [slice(at, at + ROWS) for at in range(0, world.users, ROWS)]
        ),
    )


async def _copy(
    connection: Connection, table: str, columns: tuple[str, ...], pieces: Iterable[bytes]
) -> None:
    async def source() -> AsyncIterator[bytes]:
        yield HEAD
        for piece in pieces:
            yield piece
        yield END

    await connection.copy_to_table(
        table, source=source(), columns=columns, format="binary", timeout=SECONDS
    )


async def main(url: str, world: World, rounds: range) -> None:
    """Load these rounds, and before the first all that they are about."""
    connection = await asyncpg.connect(url, timeout=30, command_timeout=SECONDS)
    try:
        if rounds.start == 0:
            await load_platform(connection, world)
        await load_log(connection, world, rounds)
    finally:
        await connection.close()
    sys.stdout.write("{}\n")


if __name__ == "__main__":
    users, actions, posts, now, first, last = map(int, sys.argv[2:])
    asyncio.run(main(sys.argv[1], World(users, actions, posts, now), range(first, last)))
