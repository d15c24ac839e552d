"""A platform with vectors, made by SQL, and what a bucket and a database hold of them."""

import io
import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg
import numpy as np

from dev.s3 import S3

INHABIT = """
WITH made AS (
  INSERT INTO users (id)
  SELECT gen_random_uuid() FROM generate_series(1, $1::BIGINT)
  RETURNING id
),
numbered AS (SELECT id, row_number() OVER (ORDER BY id) AS n FROM made)
SELECT id FROM numbered ORDER BY id
"""
FINISHED = """
INSERT INTO embedding.runs
  (id, window_start, window_end, progressed_at, finished_at, absorbed, chains, users, pages)
VALUES (gen_random_uuid(), now(), now() - $1::INTERVAL, now(), now(), $2, 1, 0, 0)
RETURNING id
"""
KEPT = (
    "SELECT user_id, embedding, model_version, generated_at FROM user_embeddings ORDER BY user_id",
    "SELECT * FROM embedding.user_offsets ORDER BY user_id",
    "SELECT * FROM embedding.user_interests ORDER BY user_id, place",
    "SELECT * FROM embedding.means ORDER BY id",
)


async def inhabit(connection: asyncpg.Connection, users: int, *, seed: int = 1) -> list[UUID]:
    """Make users, each with a vector of any length, in the order of their ids."""
    found = [row["id"] for row in await connection.fetch(INHABIT, users)]
    # of 1009 vectors, each user's one turned round: as long to make for a hundred thousand
    numbers = np.random.default_rng(seed).normal(size=(1009, 384)).astype(np.float32)
    batch = 5000
    for start in range(0, users, batch):
        ids = found[start : start + batch]
        rows = [
            (user, np.roll(numbers[(start + n) % 1009], (start + n) // 1009))
            for n, user in enumerate(ids)
        ]
        await connection.copy_records_to_table(
            "user_embeddings",
            columns=("user_id", "embedding", "model_version"),
            records=[(user, vector, "model") for user, vector in rows],
        )
    await connection.execute(
        "UPDATE user_embeddings SET generated_at = now() - interval '1 hour'"
        " - (hashtext(user_id::text) % 1000) * interval '1.000001 second'"
    )
    return found


async def adorn(connection: asyncpg.Connection, users: list[UUID]) -> None:
    """Give every second user an offset, and of these every second several interests."""
    vector = np.arange(384, dtype=np.float32) / 7
    for n in range(2):
        await connection.execute(
            "INSERT INTO embedding.means (model, cut, count, vector)"
            " VALUES ('model', now(), 9, $1)",
            vector + n,
        )
    means = [row[0] for row in await connection.fetch("SELECT id FROM embedding.means")]
    for n, user in enumerate(users[::2]):
        await connection.execute(
            "INSERT INTO embedding.user_offsets VALUES ($1, $2, $3)", user, means[n % 2], n / 3
        )
        interests = (1, 3)[n % 2]
        for place in range(interests):
            await connection.execute(
                "INSERT INTO embedding.user_interests VALUES ($1, $2, $3, $1, $4, $5)",
                user,
                place,
                1 / interests,
                n / 7,
                None if interests == 1 else np.roll(vector, place),
            )


async def finished_run(
    connection: asyncpg.Connection, age: str | None = None, *, absorbed: bool = False
) -> UUID:
    """Write a run that is through, whose window ended so long ago."""
    interval = await connection.fetchval("SELECT $1::TEXT::INTERVAL", age or "0 seconds")
    return await connection.fetchval(FINISHED, interval, absorbed)


async def kept(connection: asyncpg.Connection) -> list[list[tuple[Any, ...]]]:
    """Return all that a restore must bring back, vectors as their bytes."""
    found = [await connection.fetch(statement) for statement in KEPT]
    return [[tuple(map(_plain, row)) for row in rows] for rows in found]


def _plain(value: Any) -> Any:
    return value.to_numpy().tobytes() if hasattr(value, "to_numpy") else value


async def lose(connection: asyncpg.Connection) -> None:
    """Lose every vector, and all that stands beside them, as a disaster does: without a trace."""
    await connection.execute(
        "TRUNCATE user_embeddings, embedding.user_offsets, embedding.user_interests,"
        " embedding.means CASCADE"
    )


@dataclass(frozen=True)
class Shelved:
    """A snapshot as the bucket has it: its manifest, and the users of its parts, in order."""

    manifest: dict[str, Any]
    users: list[UUID]


def shelved(s3: S3) -> dict[str, Shelved]:
    """Return the whole snapshots, by name, after reading every part with numpy alone."""
    objects = s3.objects()
    found = {}
    for key, data in objects.items():
        folder, _, name = key.rpartition("/")
        if name == "manifest.json":
            manifest, users = json.loads(data), []
            for number in range(len(manifest["parts"])):
                file = np.load(io.BytesIO(objects[f"{folder}/part-{number:05}.npz"]))
                users += [UUID(bytes=user.tobytes()) for user in file["user"]]
            found[folder.removeprefix("snapshots/")] = Shelved(manifest, users)
    return found
