"""The whole of `make bench-recommend`, from the server's start to the findings."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

import asyncpg

from bench.account import Say
from bench.recommend.load import Times, contest
from bench.recommend.recall import Recall, recalls
from bench.recommend.world import Connection, World, load
from dev.postgres import Postgres
from dev.stack import ROOT, SQL, running
from dev.valkey import Valkey
from lib.batch.popularity import count_popularity
from lib.blend import load_blend
from lib.settings import DatabaseSettings
from lib.store.database import Database

DATABASE = "bench"
ROUNDS = 4
RECOMMEND = ROOT / "db" / "recommend.sql"

SIZE = """
SELECT pg_relation_size($1::TEXT::REGCLASS)
"""

DROP = """
DROP INDEX post_embeddings_nearest
"""

HNSW = """
CREATE INDEX post_embeddings_nearest ON post_embeddings USING hnsw (embedding vector_ip_ops)
"""

SORT_IN_MEMORY = """
SET maintenance_work_mem = '600MB'
"""


@dataclass(frozen=True)
class Index:
    """What an index took, and what is found by it. `seconds`: to build; `bytes`: of a post."""

    seconds: float
    bytes: float
    recalls: Mapping[str, Recall]


@dataclass(frozen=True)
class Findings:
    """`lists`, `graph`: by the index of `db/recommend.sql`, and by an HNSW index in its place.

    `exact`: by looking at every post; `under_load`: by what was asked.
    """

    command: str
    seconds: float
    posts: int
    lists: Index
    graph: Index
    exact: Mapping[str, Recall]
    under_load: Mapping[str, Times]


async def measure(posts: int, command: str, say: Say) -> Findings:
    """Load, build, look and ask; at last look with an index of the other kind."""
    begun = time.perf_counter()
    world = World.of(posts)
    with Postgres.start() as postgres, Valkey() as valkey:
        url = await postgres.create(DATABASE)
        await postgres.apply(DATABASE, *SQL)
        connection = await asyncpg.connect(url, command_timeout=600)
        database = Database(DatabaseSettings(url, pooled=True))
        try:
            say(f"loading {posts:,} posts")
            await load(connection, world)
            await count_popularity(database, load_blend().popularity_days, 900)
            say("building the indexes of db/recommend.sql")
            built = time.perf_counter()
            await postgres.apply(DATABASE, RECOMMEND)
            built = time.perf_counter() - built
            await connection.execute("VACUUM ANALYZE")
            say("looking for what is nearest")
            lists = await _index(connection, database, world, built)
            exact = await recalls(database, world, exactly=True)
            say("asking over HTTP, and by statements alone")
            everybody = [user for users in world.users.values() for user in users]
            async with running(url, valkey) as stack:
                under_load = await contest(stack, database, everybody, ROUNDS)
            graph = await _graph(connection, database, world, say)
        finally:
            await database.close()
            await connection.close()
    seconds = time.perf_counter() - begun
    return Findings(command, seconds, posts, lists, graph, exact, under_load)


async def _graph(connection: Connection, database: Database, world: World, say: Say) -> Index:
    say("building an HNSW index in place of the lists")
    await connection.execute(SORT_IN_MEMORY)
    await connection.execute(DROP)
    begun = time.perf_counter()
    await connection.execute(HNSW)
    built = time.perf_counter() - begun
    await connection.execute("VACUUM ANALYZE post_embeddings")
    say("looking for what is nearest once more")
    return await _index(connection, database, world, built)


async def _index(connection: Connection, database: Database, world: World, built: float) -> Index:
    size = await connection.fetchval(SIZE, "post_embeddings_nearest")
    found = await recalls(database, world, exactly=False)
    return Index(built, size / len(world.posts), found)
