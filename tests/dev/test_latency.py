import asyncio
import json
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import pytest

from dev.latency import distant
from dev.stack import ROOT

ROUND_TRIP = 0.1  # seconds

type Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
type Opened = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(262_144):
            writer.write(data)
            await writer.drain()
        writer.write(b"end")
    await close(writer)


async def open_at(address: str) -> Opened:
    if address.startswith("/"):
        return await asyncio.open_unix_connection(address)
    host, _, port = address.rpartition(":")
    return await asyncio.open_connection(host, int(port))


async def close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(ConnectionError):
        await asyncio.wait_for(writer.wait_closed(), 5)


async def broken(reader: asyncio.StreamReader) -> bool:
    """Whether the connection ends, in whatever way."""
    try:
        return not await asyncio.wait_for(reader.read(), 5)
    except ConnectionError:
        return True


@asynccontextmanager
async def serving(serve: Serve, path: Path | None) -> AsyncIterator[str]:
    """Serve on a Unix socket at `path`, or on a port; yield the address."""
    ended: list[asyncio.Task[None]] = []

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ended.append(asyncio.create_task(writer.wait_closed()))
        await serve(reader, writer)

    if path:
        server, address = await asyncio.start_unix_server(accept, path), str(path)
    else:
        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield address
    server.close()
    async with asyncio.timeout(5):
        await asyncio.gather(*ended, return_exceptions=True)


@pytest.fixture(params=["unix", "tcp"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    return tmp_path / "server.5432" if request.param == "unix" else None


@pytest.fixture
async def far(path: Path | None) -> AsyncIterator[str]:
    """An echo that is ROUND_TRIP away."""
    async with serving(echo, path) as near, distant(near, ROUND_TRIP) as address:
        yield address


async def test_distant_answer_comes_a_round_trip_later(far: str):
    loop = asyncio.get_running_loop()
    reader, writer = await open_at(far)
    for _ in range(2):
        begun = loop.time()
        writer.write(b"ping")
        assert await reader.readexactly(4) == b"ping"
        assert loop.time() - begun >= ROUND_TRIP
    await close(writer)


async def test_distant_bytes_in_flight_wait_side_by_side(far: str):
    """A hundred messages, sent apart, do not take a hundred round trips."""
    loop = asyncio.get_running_loop()
    reader, writer = await open_at(far)
    begun = loop.time()
    for _ in range(100):
        writer.write(b"ping")
        await asyncio.sleep(0.001)
    await reader.readexactly(400)
    assert loop.time() - begun < 40 * ROUND_TRIP
    await close(writer)


async def test_distant_passes_much_unchanged_in_both_directions_at_once(far: str):
    sent = bytes(range(256)) * 40_000
    reader, writer = await open_at(far)

    async def send() -> None:
        writer.write(sent)
        await writer.drain()
        writer.write_eof()

    async with asyncio.TaskGroup() as both, asyncio.timeout(30):
        both.create_task(send())
        assert await reader.read() == sent + b"end"
    await close(writer)


async def test_distant_socket_keeps_the_name_that_clients_know_it_by(far: str, path: Path | None):
    if path:
        assert Path(far).name == path.name
        assert Path(far).parent != path.parent


async def test_distant_end_of_a_client_reaches_the_server(path: Path | None):
    ended = asyncio.Event()

    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            await reader.read()
        ended.set()
        await close(writer)

    async with serving(wait, path) as near, distant(near, 0.01) as far:
        _, writer = await open_at(far)
        writer.transport.abort()
        await asyncio.wait_for(ended.wait(), 5)


async def test_distant_server_that_hangs_up_is_seen_to(path: Path | None):
    async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"bye")
        await close(writer)

    async with serving(hang_up, path) as near, distant(near, 0.01) as far:
        reader, writer = await open_at(far)
        assert await asyncio.wait_for(reader.read(), 5) == b"bye"
        await close(writer)


async def test_distant_server_that_is_gone_breaks_the_connection(tmp_path: Path):
    async with distant(str(tmp_path / "nobody"), 0.01) as far:
        reader, writer = await open_at(far)
        assert await broken(reader)
        await close(writer)


async def test_distant_ends_with_connections_that_are_open(path: Path | None):
    async with AsyncExitStack() as parts:
        near = await parts.enter_async_context(serving(echo, path))
        async with distant(near, 0.01) as far:
            reader, writer = await open_at(far)
            writer.write(b"ping")
            await reader.readexactly(4)
        assert await broken(reader)
        await close(writer)


async def test_latency_runs_by_itself_until_its_input_ends(path: Path | None):
    async with serving(echo, path) as near:
        command = [sys.executable, "-m", "dev.latency", str(ROUND_TRIP), near, near]
        process = await asyncio.create_subprocess_exec(
            *command, cwd=ROOT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        assert process.stdin
        assert process.stdout
        addresses = json.loads(await asyncio.wait_for(process.stdout.readline(), 20))
        assert len(addresses) == 2
        for far in addresses:
            reader, writer = await open_at(far)
            writer.write(b"ping")
            assert await asyncio.wait_for(reader.readexactly(4), 5) == b"ping"
            await close(writer)
        process.stdin.close()
        assert await asyncio.wait_for(process.wait(), 10) == 0


async def test_distant_connection_sends_small_messages_at_once():
    async with serving(echo, None) as near, distant(near, 0.0) as far:
        _, writer = await open_at(far)
        connection = writer.get_extra_info("socket")
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        writer.close()
