"""What a restore brings back, and whom and what it leaves alone."""

import json
from collections.abc import Callable

import numpy as np
import pytest
from asyncpg import Connection
from valkey.asyncio import Valkey as Redis

from dev.s3 import S3
from lib.store import erasures
from tests.conftest import Start
from tests.promises import assert_mirrored
from tests.snapshot.commands import begin, refused, restore
from tests.snapshot.platform import adorn, finished_run, inhabit, kept, lose, shelved
from tests.snapshot.test_taking import publish

pytestmark = pytest.mark.timeout(180)

ON_PLATFORMS = ["tables", "views"]


async def taken(start: Start, connection: Connection, s3: S3, **settings: str) -> dict[str, str]:
    """Take a snapshot of what there is; return the environment to restore it in."""
    stack = await start({**s3.environ, **settings})
    before = len(shelved(s3))
    await publish(stack, await finished_run(connection))
    await stack.broker.drain()
    assert len(shelved(s3)) == before + 1
    return dict(stack.environ)


async def test_restore_brings_everything_back_bit_for_bit_and_a_second_one_changes_nothing(
    start: Start, connection: Connection, redis: Redis, s3: S3
):
    users = await inhabit(connection, 700)
    await adorn(connection, users)
    environ = await taken(start, connection, s3)
    before = await kept(connection)
    await lose(connection)
    printed = await restore(environ)
    assert await kept(connection) == before
    await assert_mirrored(connection, redis)
    assert printed.splitlines()[1:] == ["part 1 of 1: 700 users looked at, 700 written"]
    assert "700 users looked at, 0 written" in await restore(environ)
    assert await kept(connection) == before
    number = await connection.fetchval(
        "INSERT INTO embedding.means (model, cut, count, vector)"
        " SELECT 'model', now(), 1, vector FROM embedding.means LIMIT 1 RETURNING id"
    )
    assert number > max(row[0] for row in before[3])


async def test_nobody_comes_back_who_is_gone_or_was_erased_or_opted_out(
    start: Start, connection: Connection, redis: Redis, s3: S3
):
    users = await inhabit(connection, 12)
    erased, out, gone, again, *others = users
    await erasures.erase(connection, again)
    await connection.execute(
        "INSERT INTO user_embeddings (user_id, embedding, model_version, generated_at)"
        " SELECT $1, embedding, 'model', now() FROM user_embeddings LIMIT 1",
        again,
    )
    environ = await taken(start, connection, s3)
    await erasures.erase(connection, erased)
    await erasures.opt_out(connection, out)
    await connection.execute("DELETE FROM users WHERE id = $1", gone)
    await lose(connection)
    await restore(environ)
    stored = {row[0] for row in (await kept(connection))[0]}
    assert stored == {again, *others}, "an erasure before the snapshot forbids nothing made since"
    await assert_mirrored(connection, redis)


async def test_newer_vector_stays_and_older_one_goes(
    start: Start, connection: Connection, redis: Redis, s3: S3
):
    newer, older, same = await inhabit(connection, 3)
    await adorn(connection, [newer, same, older])
    environ = await taken(start, connection, s3)
    before = await kept(connection)
    for user, sign in ((newer, "+"), (older, "-")):
        await connection.execute(
            "UPDATE user_embeddings SET model_version = 'other', generated_at = generated_at"  # noqa: S608  # signs
            f" {sign} interval '1 microsecond' WHERE user_id = $1",
            user,
        )
    await connection.execute("DELETE FROM embedding.user_offsets WHERE user_id = $1", newer)
    assert "3 users looked at, 1 written" in await restore(environ)
    after = await kept(connection)
    models = {row[0]: row[2] for row in after[0]}
    assert models == {newer: "other", older: "model", same: "model"}
    assert {row[0] for row in after[1]} == {row[0] for row in before[1]} - {newer}
    await assert_mirrored(connection, redis)


async def test_vectors_of_a_mean_that_is_another_here_are_left_out_and_counted(
    start: Start, connection: Connection, s3: S3
):
    users = await inhabit(connection, 8)
    await adorn(connection, users)
    environ = await taken(start, connection, s3)
    before = await kept(connection)
    await lose(connection)
    await connection.execute(
        "INSERT INTO embedding.means (id, model, cut, count, vector) OVERRIDING SYSTEM VALUE"
        " VALUES ($1, 'model', now(), 1, $2)",
        before[1][0][1],
        np.ones(384, dtype=np.float32),
    )
    printed = await restore(environ)
    strange = {row[0] for row in before[1] if row[1] == before[1][0][1]}
    assert f"{len(strange)} users left out" in printed
    assert {row[0] for row in (await kept(connection))[0]} == set(users) - strange


@pytest.mark.parametrize("mode", ["write", "invalidate", "off"])
async def test_redis_is_dealt_with_as_cache_mode_says(
    start: Start, connection: Connection, redis: Redis, s3: S3, mode: str
):
    [user] = await inhabit(connection, 1)
    environ = await taken(start, connection, s3, CACHE_MODE=mode)
    await lose(connection)
    await redis.set(f"user:{user}:embedding", "[0]")
    await restore(environ)
    value = await redis.get(f"user:{user}:embedding")
    assert (value and len(json.loads(value))) == {"write": 384, "invalidate": None, "off": 1}[mode]


async def test_newest_whole_snapshot_is_taken_or_the_one_that_is_named(
    start: Start, connection: Connection, s3: S3
):
    users = await inhabit(connection, 2)
    stack = await start(s3.environ)
    await publish(stack, await finished_run(connection, "2 hours"))
    await stack.broker.drain()
    [first] = shelved(s3)
    await connection.execute("UPDATE user_embeddings SET model_version = 'second'")
    await publish(stack, await finished_run(connection, "1 hour"))
    await stack.broker.drain()
    s3.put("snapshots/29991231T000000Z-00000000-0000-0000-0000-000000000001/part-00000.npz", b"")
    for name, model in ((), "second"), ((first,), "model"):
        await lose(connection)
        await restore(stack.environ, *name)
        assert {row[2] for row in (await kept(connection))[0]} == {model}
    assert first in await refused(stack.environ, "20260101T000000Z-" + str(users[0]))


def spoil_byte(data: bytes) -> bytes:
    return data[:-200] + bytes([data[-200] ^ 1]) + data[-199:]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        pytest.param(spoil_byte, "SHA-256", id="a bit"),
        pytest.param(lambda data: data[:-1], "bytes", id="a byte less"),
        pytest.param(lambda _: b"", "bytes", id="empty"),
        pytest.param(None, "not there", id="missing"),
    ],
)
async def test_part_that_is_not_what_the_manifest_says_is_refused_whole(
    start: Start,
    connection: Connection,
    s3: S3,
    spoil: Callable[[bytes], bytes] | None,
    said: str,
):
    await inhabit(connection, 10)
    environ = await taken(start, connection, s3)
    await lose(connection)
    [key] = [key for key in s3.objects() if key.endswith("npz")]
    if spoil:
        s3.put(key, spoil(s3.objects()[key]))
    else:
        s3.client.delete_object(Bucket=s3.bucket, Key=key)
    assert said in await refused(environ)
    assert (await kept(connection))[0] == []


async def test_where_there_is_no_snapshot_or_no_bucket_it_is_said(
    database_url: str, redis: Redis, s3: S3
):
    environ = {"DATABASE_URL": database_url, "CACHE_MODE": "off", **s3.environ}
    assert "no finished snapshot" in await refused(environ)
    assert "SNAPSHOT_BUCKET" in await refused({**environ, "SNAPSHOT_BUCKET": ""})
    assert "NoSuchBucket" in await refused({**environ, "SNAPSHOT_BUCKET": "of-nobody"})
    assert await redis.dbsize() == 0


async def test_two_restores_at_once_and_deletions_beside_them_leave_what_one_leaves(
    start: Start, connection: Connection, redis: Redis, s3: S3
):
    users = await inhabit(connection, 3000)
    await adorn(connection, users[:50])
    environ = await taken(start, connection, s3)
    await lose(connection)
    processes = [await begin(environ), await begin(environ)]
    for user in users[::60]:
        await connection.execute("DELETE FROM users WHERE id = $1", user)
    for process in processes:
        _, said = await process.communicate()
        assert process.returncode == 0, said.decode()
    # who was deleted while their key was written is made good by the next run, or the next restore
    await restore(environ)
    left = set(users) - set(users[::60])
    assert {row[0] for row in (await kept(connection))[0]} == left
    await assert_mirrored(connection, redis)
