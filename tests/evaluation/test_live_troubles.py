from urllib.parse import urlsplit

import asyncpg
import pytest

from dev.postgres import Postgres
from evaluation.live import Trouble
from lib.errors import Unavailable
from tests.evaluation.test_live import sampled
from tests.scene import build

SLOW = """
ALTER TABLE action_log RENAME TO events;
CREATE VIEW action_log AS SELECT e.* FROM events AS e, pg_sleep(20);
GRANT SELECT ON action_log TO {role};
"""

TROUBLES = {
    "no table": (
        "ALTER TABLE posts RENAME TO content",
        "posts: no such table or view is in sight",
    ),
    "no column": (
        "ALTER TABLE action_log RENAME action_type TO kind",
        "action_log.action_type: no such column, expected text or varchar",
    ),
    "wrong type": (
        "ALTER TABLE action_log ALTER created_at TYPE TIMESTAMP",
        "action_log.created_at: expected timestamptz, got timestamp",
    ),
    "no rights": (
        "REVOKE ALL ON users FROM PUBLIC, {role}",
        "users: the role {role} may not read it: GRANT SELECT ON users TO {role}",
    ),
    "empty log": ("TRUNCATE action_log", "expected actions in action_log within the last 180 days"),
    "slow": (
        SLOW,
        "expected to read action_log within 1 s: it takes longer",
    ),
}


@pytest.mark.parametrize(("change", "message"), TROUBLES.values(), ids=TROUBLES)
async def test_trouble_is_named(
    bare: asyncpg.Connection, reader_url: str, change: str, message: str
):
    role = urlsplit(reader_url).username
    await build(bare)
    await bare.execute(change.replace("{role}", role))
    with pytest.raises(Trouble) as trouble:
        await sampled(reader_url, seconds=1)
    assert message.replace("{role}", role) in str(trouble.value)


async def test_a_table_that_somebody_has_locked_is_not_waited_for(
    bare: asyncpg.Connection, bare_url: str
):
    await build(bare)
    async with bare.transaction():
        await bare.execute("LOCK TABLE users")
        with pytest.raises(Trouble, match="expected to read users at once: somebody has locked"):
            await sampled(bare_url, seconds=1)


async def test_all_that_is_wrong_is_said_at_once(bare: asyncpg.Connection, bare_url: str):
    for name in ("posts", "action_log", "post_embeddings"):
        await bare.execute(f"ALTER TABLE {name} RENAME TO {name}_2")
    with pytest.raises(Trouble) as trouble:
        await sampled(bare_url)
    for name in ("posts", "action_log", "post_embeddings"):
        assert f"{name}: no such table" in str(trouble.value)
    assert "users:" not in str(trouble.value)
    assert "Tables with other names" in str(trouble.value)


async def test_a_database_without_the_extension_is_told(postgres: Postgres):
    url = await postgres.create("without_vector")
    try:
        with pytest.raises(Unavailable, match="the extension vector is not installed"):
            await sampled(url)
    finally:
        await postgres.drop("without_vector")
