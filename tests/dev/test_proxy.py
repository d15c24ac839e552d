import asyncio
import gc
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dev.frames import Frames
from dev.postgres import Postgres
from dev.proxy import LoseAnswer, Proxy


def packet(payload: bytes, kind: bytes = b"") -> bytes:
    return kind + (len(payload) + 4).to_bytes(4) + payload


STARTUP = packet((196_608).to_bytes(4) + b"user\0postgres\0\0")
ENCRYPT = [packet(code.to_bytes(4)) for code in (80_877_103, 80_877_104)]

LOST = (asyncpg.PostgresConnectionError, asyncpg.InterfaceError, OSError)


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with Postgres.start() as server:
        yield server


@pytest.fixture
async def proxy(postgres: Postgres) -> AsyncIterator[Proxy]:
    async with Proxy.start(postgres.socket) as proxy:
        yield proxy


async def connect(proxy: Proxy) -> asyncpg.Connection:
    return await asyncpg.connect(proxy.url("postgres"), timeout=5, command_timeout=5)


async def raw(proxy: Proxy) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    _, folder = proxy.url("postgres").split("host=")
    return await asyncio.open_unix_connection(f"{folder}/.s.PGSQL.5432")


async def backends(postgres: Postgres, query: str) -> int:
    """How many backends run `query` or did last."""
    connection = await asyncpg.connect(postgres.url("postgres"), timeout=5)
    try:
        count = "SELECT count(*) FROM pg_stat_activity WHERE query = $1"
        found: int = await connection.fetchval(count, query)
        return found
    finally:
        await connection.close()


async def test_queries_and_copies_of_any_size_pass_unchanged(proxy: Proxy):
    connection = await connect(proxy)
    text = "é" * 2_000_000
    assert await connection.fetchval("SELECT $1::text", text) == text
    assert await connection.fetchval("SELECT count(*) FROM generate_series(1, 100000)") == 100_000
    await connection.execute("CREATE TEMP TABLE t (n int, s text)")
    rows = [(n, "x" * (n % 300)) for n in range(20_000)]
    await connection.copy_records_to_table("t", records=rows)
    assert [tuple(row) for row in await connection.fetch("SELECT n, s FROM t ORDER BY n")] == rows
    with pytest.raises(asyncpg.DivisionByZeroError):
        await connection.fetchval("SELECT 1 / 0")
    await connection.close()


async def test_psql_passes_too(proxy: Proxy, postgres: Postgres):
    psql = await asyncio.create_subprocess_exec(
        postgres.psql,
        "--no-psqlrc",
        "--tuples-only",
        "--command=SELECT 6 * 7",
        proxy.url("postgres"),
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await asyncio.wait_for(psql.communicate(), 10)
    assert said.split() == [b"42"]


async def test_encryption_that_is_asked_for_is_answered_by_the_server_itself(proxy: Proxy):
    reader, writer = await raw(proxy)
    for ask in ENCRYPT:
        writer.write(ask)
        assert await asyncio.wait_for(reader.readexactly(1), 5) == b"N"
    writer.write(STARTUP)
    assert await asyncio.wait_for(reader.readexactly(1), 5) == b"R"
    writer.close()
    await writer.wait_closed()


async def test_connections_are_counted_for_good(proxy: Proxy):
    assert proxy.connections == 0
    for expected in (1, 2):
        connection = await connect(proxy)
        await connection.close()
        assert proxy.connections == expected


async def test_message_is_seen_before_it_is_forwarded(proxy: Proxy, postgres: Postgres):
    reached, go = asyncio.Event(), asyncio.Event()
    seen = []

    async def hold(kind: bytes, payload: bytes) -> None:
        seen.append(kind)
        if kind == b"P" and b"SELECT 'held'" in payload:
            reached.set()
            await go.wait()

    connection = await connect(proxy)
    proxy.on_message = hold
    query = asyncio.create_task(connection.fetchval("SELECT 'held'"))
    await asyncio.wait_for(reached.wait(), 5)
    assert await backends(postgres, "SELECT 'held'") == 0
    go.set()
    assert await query == "held"
    assert set(b"".join(seen)) >= set(b"PDBES")
    await connection.close()


async def test_message_that_waits_holds_only_its_own_connection(proxy: Proxy):
    go = asyncio.Event()

    async def hold(_kind: bytes, payload: bytes) -> None:
        if b"'held'" in payload:
            await go.wait()

    one, two = await connect(proxy), await connect(proxy)
    proxy.on_message = hold
    query = asyncio.create_task(one.fetchval("SELECT 'held'"))
    assert await two.fetchval("SELECT 2") == 2
    assert not query.done()
    go.set()
    assert await query == "held"
    await one.close()
    await two.close()


async def test_statements_are_seen_one_by_one_in_order(proxy: Proxy):
    statements = []

    async def note(kind: bytes, payload: bytes) -> None:
        if kind == b"Q":
            statements.append(payload.removesuffix(b"\0").decode())

    connection = await connect(proxy)
    proxy.on_message = note
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        await connection.execute("SELECT 1")
    assert statements == [
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;",
        "SELECT 1",
        "COMMIT;",
    ]
    await connection.close()


async def test_cut_at_a_statement_undoes_its_transaction(proxy: Proxy):
    async def cut_at_commit(kind: bytes, payload: bytes) -> None:
        if kind == b"Q" and payload.startswith(b"COMMIT"):
            proxy.cut()

    connection = await connect(proxy)
    await connection.execute("CREATE TABLE IF NOT EXISTS cut (n int)")
    proxy.on_message = cut_at_commit
    with pytest.raises(LOST):
        async with connection.transaction():
            await connection.execute("INSERT INTO cut VALUES (1)")
    assert connection.is_closed()

    proxy.on_message = None
    connection = await connect(proxy)
    async with connection.transaction():
        await connection.execute("LOCK TABLE cut")  # granted when the server has noticed
        assert await connection.fetchval("SELECT count(*) FROM cut") == 0
    await connection.close()


async def test_what_a_watcher_raises_ends_the_connection_and_is_logged(
    proxy: Proxy, caplog: pytest.LogCaptureFixture
):
    async def fail(_kind: bytes, _payload: bytes) -> None:
        raise RuntimeError("the watcher's own")

    connection = await connect(proxy)
    proxy.on_message = fail
    with pytest.raises(LOST):
        await connection.fetchval("SELECT 1")
    gc.collect()
    [record] = caplog.records
    assert "the watcher's own" in str(record.exc_info)


async def test_cut_breaks_every_connection_that_is_open(proxy: Proxy):
    one, two = await connect(proxy), await connect(proxy)
    sleeping = asyncio.create_task(one.execute("SELECT pg_sleep(30)"))
    await two.fetchval("SELECT 1")
    proxy.cut()
    with pytest.raises(LOST):
        await sleeping
    with pytest.raises(LOST):
        await two.fetchval("SELECT 1")

    healed = await connect(proxy)
    assert await healed.fetchval("SELECT 1") == 1
    await healed.close()


async def test_client_that_goes_away_without_a_word_frees_what_it_locked(proxy: Proxy):
    reader, writer = await raw(proxy)
    writer.write(STARTUP + packet(b"SELECT pg_advisory_lock(1)\0", b"Q"))
    await asyncio.wait_for(reader.readuntil(b"SELECT 1\0"), 5)
    writer.close()
    await writer.wait_closed()
    waiting = await connect(proxy)
    await waiting.execute("SELECT pg_advisory_lock(1)")
    await waiting.close()


async def test_refused_connections_fail_until_it_heals(proxy: Proxy):
    open_before = await connect(proxy)
    proxy.refuse = True
    with pytest.raises(LOST):
        await connect(proxy)
    assert await open_before.fetchval("SELECT 1") == 1
    assert proxy.connections >= 2

    proxy.refuse = False
    healed = await connect(proxy)
    assert await healed.fetchval("SELECT 1") == 1
    await healed.close()
    await open_before.close()


async def test_server_that_is_gone_fails_at_once(tmp_path: Path):
    async with Proxy.start(tmp_path / ".s.PGSQL.5432") as proxy:
        with pytest.raises(LOST):
            await connect(proxy)


async def test_delay_is_added_to_every_burst(proxy: Proxy):
    connection = await connect(proxy)
    proxy.delay = 0.05
    start = time.monotonic()
    await connection.execute("SELECT 1")
    await connection.execute("SELECT 1")
    assert 0.1 <= time.monotonic() - start < 1
    proxy.delay = 0.0
    await connection.close()


async def test_nothing_passes_a_stall_and_all_of_it_once_that_is_healed(
    proxy: Proxy, postgres: Postgres
):
    early = await connect(proxy)
    proxy.stall()
    query = asyncio.create_task(early.fetchval("SELECT 'stalled'"))
    late = asyncio.create_task(connect(proxy))
    assert await backends(postgres, "SELECT 'stalled'") == 0
    assert proxy.connections == 2
    assert not query.done()
    assert not late.done()
    proxy.heal()
    assert await query == "stalled"
    for connection in (early, await late):
        await connection.close()


async def test_stall_outlasts_the_patience_of_a_client(proxy: Proxy):
    connection = await connect(proxy)
    proxy.stall()
    with pytest.raises(TimeoutError):
        await connection.fetchval("SELECT 1", timeout=0.1)
    proxy.heal()
    connection.terminate()


async def test_tcp_leads_to_the_same_server(proxy: Proxy):
    connection = await asyncpg.connect(proxy.tcp_url("postgres"), timeout=5)
    assert await connection.fetchval("SELECT 1") == 1
    await connection.close()


async def test_reset_is_an_rst_to_whoever_came_by_tcp(proxy: Proxy):
    address = urlsplit(proxy.tcp_url("postgres"))
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(STARTUP)
    assert await asyncio.wait_for(reader.readexactly(1), 5) == b"R"
    local = await raw(proxy)
    local[1].write(STARTUP)
    assert await asyncio.wait_for(local[0].readexactly(1), 5) == b"R"
    proxy.reset()
    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(reader.read(), 5)
    assert await asyncio.wait_for(local[0].read(), 5) is not None, "its end, after what was left"
    for end in (writer, local[1]):
        end.close()
        with suppress(OSError):
            await end.wait_closed()


@pytest.mark.parametrize("left", [0, 1, 7, 40])
async def test_message_is_cut_after_so_many_bytes_forth(
    proxy: Proxy, postgres: Postgres, left: int
):
    connection = await connect(proxy)
    proxy.forth.left = left
    with pytest.raises(LOST):
        await connection.execute(f"SELECT 'cut after {left}, and longer than that by far'")
    assert proxy.forth.left == 0
    query = f"SELECT 'cut after {left}, and longer than that by far'"
    assert await backends(postgres, query) == 0
    proxy.forth.left = None
    healed = await connect(proxy)
    assert await healed.fetchval("SELECT 1") == 1
    await healed.close()


@pytest.mark.parametrize("left", [0, 1, 5, 1000])
async def test_answer_is_cut_after_so_many_bytes_back(proxy: Proxy, left: int):
    connection = await connect(proxy)
    proxy.back.left = left
    with pytest.raises(LOST):
        await connection.execute("SELECT repeat('x', 2000)")
    proxy.back.left = None
    healed = await connect(proxy)
    assert await healed.fetchval("SELECT 1") == 1
    await healed.close()


@pytest.mark.parametrize("at", [b"Q", b"E"], ids=["COMMIT", "a statement of its own"])
async def test_lost_answer_is_that_of_work_which_is_done_by_then(proxy: Proxy, at: bytes):
    async def lose(kind: bytes, payload: bytes) -> None:
        if kind == at and (at == b"E" or payload.startswith(b"COMMIT")):
            raise LoseAnswer

    connection = await connect(proxy)
    await connection.execute("DROP TABLE IF EXISTS unknown")
    await connection.execute("CREATE TABLE unknown (n int)")
    proxy.on_message = lose
    insert = "INSERT INTO unknown VALUES (7)"
    alone = connection.fetch(insert) if at == b"E" else connection.execute(f"BEGIN; {insert}")
    if at == b"Q":
        await alone
        alone = connection.execute("COMMIT")
    with pytest.raises(LOST):
        await alone
    proxy.on_message = None
    connection = await connect(proxy)
    assert await connection.fetchval("SELECT array_agg(n) FROM unknown") == [7]
    await connection.close()


async def test_proxy_ends_with_clients_that_wait(postgres: Postgres):
    async def wait(kind: bytes, _payload: bytes) -> None:
        if kind == b"Q":
            await asyncio.Event().wait()

    async with Proxy.start(postgres.socket) as proxy:
        connection = await connect(proxy)
        proxy.on_message = wait
        query = asyncio.create_task(connection.execute("SELECT 1"))
        await asyncio.sleep(0.05)
    with pytest.raises(LOST):
        await query
    with pytest.raises(LOST):
        await connect(proxy)


@given(
    st.lists(st.sampled_from(ENCRYPT), max_size=2),
    st.lists(st.tuples(st.binary(min_size=1, max_size=1), st.binary(max_size=50)), max_size=8),
    st.integers(1, 40),
)
def test_frames_are_the_messages_however_the_bytes_arrive(
    encrypt: list[bytes], typed: list[tuple[bytes, bytes]], step: int
):
    messages = [(False, message) for message in [*encrypt, STARTUP]]
    messages += [(True, packet(payload, kind)) for kind, payload in typed]
    stream = b"".join(message for _, message in messages)
    frames = Frames()
    cut = [
        message
        for at in range(0, len(stream), step)
        for message in frames.feed(stream[at : at + step])
    ]
    assert cut == messages


def test_frames_of_a_length_that_cannot_be_still_end():
    frames = Frames()
    frames.feed(STARTUP)
    assert frames.feed(b"X\0\0\0\0" * 2) == [(True, b"X\0\0\0\0")] * 2
