"""A platform that has nothing of ours: its four tables, or views of their names, and no more."""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from dev.postgres import Postgres
from dev.stack import ROOT
from tests.scene import connect

FILES = {
    "tables": ROOT / "db" / "platform.sql",
    "views": Path(__file__).parents[1] / "platform_views.sql",
}


@pytest.fixture
async def bare_url(postgres: Postgres, platform: str) -> AsyncIterator[str]:
    name = f"bare_{uuid4().hex}"
    url = await postgres.create(name)
    await postgres.apply(name, FILES[platform])
    yield url
    await postgres.drop(name)


@pytest.fixture
async def bare(bare_url: str) -> AsyncIterator[asyncpg.Connection]:
    opened = await connect(bare_url)
    yield opened
    await opened.close()


@pytest.fixture
async def reader_url(bare_url: str, bare: asyncpg.Connection) -> AsyncIterator[str]:
    """The platform, for a role that may read the four tables and do nothing else."""
    role = f"reader_{uuid4().hex}"
    await bare.execute(f"CREATE ROLE {role} LOGIN")
    await bare.execute(f"GRANT SELECT ON users, posts, post_embeddings, action_log TO {role}")
    yield bare_url.replace("postgres@", f"{role}@")
    await bare.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")
