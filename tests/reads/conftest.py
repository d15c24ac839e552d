"""The function that reads, in this process, between a client and real servers."""

import json
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import httpx
import numpy as np
import pytest
from asyncpg import Connection
from numpy.typing import NDArray
from pgvector import Vector

from dev.proxy import Proxy
from dev.serve import serve
from dev.stack import LOGIN
from dev.upstash import Upstash
from dev.valkey import Valkey
from lib.recommend.reads import Reads as Counts
from lib.recommend.services import Patience, Readers
from lib.settings import Tokens
from lib.web import users
from lib.web.application import create
from tests.scene import MODEL

REDIS_TOKEN = "canary-7f3a"
PATIENT = Patience(redis=50, postgres=50)
"""On a busy machine, and where a read is stopped on purpose, it must not give up."""

API, ADMIN = {"Authorization": "Bearer reads"}, {"Authorization": "Bearer erases"}


@dataclass(frozen=True)
class Reads:
    """The function behind `http`, and what it reaches: `upstash`, and Postgres by `proxy`."""

    environ: Mapping[str, str]
    http: httpx.AsyncClient
    upstash: Upstash
    proxy: Proxy

    async def get(self, path: str, **query: str) -> httpx.Response:
        return await self.http.get(f"/api/users/{path}", params=query, headers=API)


@asynccontextmanager
async def client(
    environ: Mapping[str, str], patience: Patience = PATIENT
) -> AsyncIterator[httpx.AsyncClient]:
    """Make the function, as its file in api/ does, and let go of what it opened."""
    readers = replace(Readers.load(environ), patience=patience)
    application = create(lambda _: users.routes_of(readers, Tokens.load(environ)))
    transport = httpx.ASGITransport(application, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="https://app.example") as http:
        yield http
    await readers.close()


@pytest.fixture
async def reads(database_url: str, valkey_empty: Valkey, proxy: Proxy) -> AsyncIterator[Reads]:
    upstash = Upstash(valkey_empty.address, token=REDIS_TOKEN)
    async with serve(upstash.app) as url:
        environ = {
            "DATABASE_URL": proxy.url(urlsplit(database_url).path[1:], LOGIN),
            "UPSTASH_REDIS_REST_URL": url,
            "UPSTASH_REDIS_REST_TOKEN": REDIS_TOKEN,
            "API_TOKEN": "reads",
            "ADMIN_TOKEN": "erases",
        }
        async with client(environ) as http:
            yield Reads(environ, http, upstash, proxy)
        await upstash.close()


@pytest.fixture
async def hasty(reads: Reads) -> AsyncIterator[Reads]:
    """The function with the patience that it has."""
    async with client(reads.environ, Patience()) as http:
        yield replace(reads, http=http)


@pytest.fixture
async def readers(reads: Reads) -> AsyncIterator[Readers]:
    """What a read works with, without the function around it."""
    never_again = Counts(every=float("inf"))
    made = replace(Readers.load(reads.environ), patience=PATIENT, reads=never_again)
    yield made
    await made.close()


def unit(seed: int) -> NDArray[np.float32]:
    """Return a vector of length 1 that a seed stands for."""
    made = np.random.default_rng(seed).normal(size=384)
    return (made / np.linalg.norm(made)).astype(np.float32)


async def store(
    connection: Connection,
    seed: int | NDArray[np.float32] = 1,
    user: UUID | None = None,
    model_version: str = MODEL,
) -> UUID:
    """Give a user, a new one unless named, a vector; return who it is."""
    user = user or uuid4()
    vector = unit(seed) if isinstance(seed, int) else seed
    await connection.execute("INSERT INTO users VALUES ($1) ON CONFLICT DO NOTHING", user)
    await connection.execute(
        "INSERT INTO user_embeddings (user_id, embedding, model_version, generated_at)"
        " VALUES ($1, $2, $3, clock_timestamp()) ON CONFLICT (user_id) DO UPDATE SET"
        " embedding = excluded.embedding, model_version = excluded.model_version,"
        " generated_at = excluded.generated_at, updated_at = clock_timestamp()",
        user,
        Vector(vector),
        model_version,
    )
    return user


def events(caplog: pytest.LogCaptureFixture, name: str) -> list[dict[str, Any]]:
    """Return the fields of every event of a name that was logged."""
    lines = [
        json.loads(record.message) for record in caplog.records if record.name == "user_embeddings"
    ]
    return [line for line in lines if line["event"] == name]


@pytest.fixture(autouse=True)
def _logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "user_embeddings")
