"""Readers of the platform's own, in JavaScript: key and row are what they were before."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest
from asyncpg import Connection
from valkey.asyncio import Valkey as Redis

from lib.embedding import calculate_similarity
from tests.npm import package
from tests.reads.conftest import Reads, store, unit

VERSION = "1.39.0"

READ = """
import { Redis } from "@upstash/redis"
const { url, token, user, row } = JSON.parse(process.argv[2])
const redis = new Redis({ url, token, enableTelemetry: false })
const cached = await redis.get(`user:${user}:embedding`)
const stored = JSON.parse(row)
const dot = (a, b) => a.reduce((sum, x, i) => sum + x * b[i], 0)
const cosine = (a, b) => dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b))
console.log(JSON.stringify({ cached, similarity: cosine(cached, stored) }))
"""


@pytest.fixture(scope="module")
def node_folder() -> Path:
    """A folder in which node finds Upstash's own client; kept, below .cache."""
    folder = package("@upstash/redis", VERSION)
    (folder / "read.mjs").write_text(READ)
    return folder


async def run(folder: Path, asked: str) -> dict[str, Any]:
    """Run the program and return what it says; the stand-in is served meanwhile."""
    node = await asyncio.create_subprocess_exec(
        "node",
        "read.mjs",
        asked,
        cwd=folder,
        env={"PATH": os.environ["PATH"]},
        stdout=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(30):
        said, _ = await node.communicate()
    assert node.returncode == 0
    return json.loads(said)


async def test_javascript_reads_the_key_and_the_row_and_finds_the_same_similarity(
    reads: Reads, connection: Connection, redis: Redis, node_folder: Path
):
    user, other = await store(connection, 1), await store(connection, 2)
    await reads.get(f"{user}/embedding")
    assert await redis.exists(f"user:{user}:embedding")
    row = await connection.fetchval(
        "SELECT embedding::TEXT FROM user_embeddings WHERE user_id = $1", other
    )
    asked = {
        "url": reads.environ["UPSTASH_REDIS_REST_URL"],
        "token": reads.environ["UPSTASH_REDIS_REST_TOKEN"],
        "user": str(user),
        "row": row,
    }
    said = await run(node_folder, json.dumps(asked))
    assert said["cached"] == pytest.approx(unit(1).tolist(), abs=1e-8)
    assert said["similarity"] == pytest.approx(calculate_similarity(unit(1), unit(2)), abs=1e-7)
