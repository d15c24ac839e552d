"""A world written into the tables of `db/platform.sql`."""

from typing import TYPE_CHECKING, Any

from pgvector import Vector
from pgvector.asyncpg import register_vector

from dev.world import World

if TYPE_CHECKING:
    from asyncpg import Connection

SCHEMA_OF_VECTOR = """
SELECT n.nspname
FROM pg_extension e
JOIN pg_namespace n ON n.oid = e.extnamespace
WHERE e.extname = 'vector'
"""
PATIENCE = 60  # seconds a table


async def load(connection: "Connection[Any]", world: World, model_version: str) -> None:
    """Write all of `world` in one transaction; the connection knows pgvector's types from then on.

    Raises asyncpg.UniqueViolationError, and writes nothing, if one of its users or posts is there
    already.
    """
    schema = await connection.fetchval(SCHEMA_OF_VECTOR, timeout=PATIENCE)
    await register_vector(connection, schema=schema)
    users = [(user,) for user in world.users]
    embeddings = [
        (post.id, Vector(vector), model_version)
        for post, vector, present in zip(world.posts, world.vectors, world.embedded, strict=True)
        if present
    ]
    async with connection.transaction():
        for table, columns, records in (
            ("users", ("id",), users),
            ("posts", ("id", "title", "topic", "created_at", "author_id"), world.posts),
            ("post_embeddings", ("post_id", "embedding", "model_version"), embeddings),
            ("action_log", ("user_id", "post_id", "action_type", "created_at"), world.actions),
        ):
            await connection.copy_records_to_table(
                table, columns=columns, records=records, timeout=PATIENCE
            )
