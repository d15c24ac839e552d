"""A way to Postgres that counts, watches, delays, stalls, cuts and resets connections.

It stands in front of Postgres's own Unix socket and is reached by one, or by TCP.
"""

import asyncio
import socket
import struct
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from dev.frames import Frames

CHUNK = 262_144  # bytes
READY = b"Z\0\0\0\5"  # ReadyForQuery up to its state: all that came before is done, and stays
AT_ONCE = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends RST


class LoseAnswer(Exception):
    """Raised by `on_message`: this message and what follows is done, and the answer is lost.

    Nothing comes back from here on; once the server is ready for another query, and so has
    committed whatever ends with this one, the connection is cut.
    """


@dataclass
class Limit:
    """How many more bytes pass on one way, over all connections; None is any number."""

    left: int | None = None

    def take(self, data: bytes) -> bytes:
        """Return what of `data` may pass."""
        if self.left is not None:
            data = data[: self.left]
            self.left -= len(data)
        return data


@dataclass
class Link:
    """One connection's state; `lost`: its answers go nowhere."""

    lost: bool = False
    tail: bytes = b""


class Proxy:
    """Forwards connections; what is set on it holds at once, also for those that are open.

    `on_message(type, payload)` is awaited for every message of a client after its startup packet,
    before it is forwarded and after all earlier ones were. It may raise LoseAnswer; whatever else
    it raises ends the connection. Whoever would pass more than `forth` and `back` let is cut in mid
    message.
    """

    def __init__(self, upstream: Path, folder: Path) -> None:
        self.on_message: Callable[[bytes, bytes], Awaitable[None]] | None = None
        self.connections = 0  # ever made, refused ones included
        self.delay = 0.0  # seconds before each burst of messages is forwarded
        self.refuse = False
        self.forth = Limit()
        self.back = Limit()
        self._upstream = upstream
        self._folder = folder
        self._port = 0
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._ends: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @classmethod
    @asynccontextmanager
    async def start(cls, upstream: Path) -> AsyncIterator[Self]:
        """Stand in front of the socket `upstream` within the block."""
        with tempfile.TemporaryDirectory(prefix="proxy-") as folder:
            proxy = cls(upstream, Path(folder))
            local = await asyncio.start_unix_server(proxy._accept, f"{folder}/.s.PGSQL.5432")
            remote = await asyncio.start_server(proxy._accept, "127.0.0.1", 0)
            proxy._port = remote.sockets[0].getsockname()[1]
            try:
                yield proxy
            finally:
                for server in (local, remote):
                    server.close()
                proxy.cut()
                for task in proxy._tasks:
                    task.cancel()
                await asyncio.gather(*proxy._tasks, return_exceptions=True)
                for server in (local, remote):
                    await server.wait_closed()

    def url(self, database: str, user: str = "postgres") -> str:
        return f"postgresql://{user}@/{database}?host={self._folder}"

    def tcp_url(self, database: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self._port}/{database}"

    def cut(self) -> None:
        """Break every open connection, on both sides."""
        for end in self._ends:
            end.transport.abort()

    def reset(self) -> None:
        """Break every open connection; whoever came by TCP is told by RST, not by an end."""
        for end in self._ends:
            own = end.get_extra_info("socket")
            if own.family == socket.AF_INET:
                own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
        self.cut()

    def stall(self) -> None:
        """Go on taking bytes, and connections, and pass nothing on in either way until `heal`."""
        self._flowing.clear()

    def heal(self) -> None:
        """Pass on what has waited, and whatever comes."""
        self._flowing.set()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self.refuse:
            writer.transport.abort()
            return
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends = [writer]
        self._ends.add(writer)
        try:
            with suppress(OSError):  # a connection that breaks is what this is for
                answers, server = await asyncio.open_unix_connection(self._upstream)
                ends.append(server)
                self._ends.add(server)
                link = Link()
                async with asyncio.TaskGroup() as both:
                    both.create_task(self._forth(reader, server, link))
                    both.create_task(self._back(answers, writer, link))
        finally:
            for end in ends:
                end.close()
            for end in ends:
                with suppress(OSError):
                    await end.wait_closed()
            self._ends.difference_update(ends)

    async def _forth(
        self, reader: asyncio.StreamReader, server: asyncio.StreamWriter, link: Link
    ) -> None:
        frames = Frames()
        while chunk := await reader.read(CHUNK):
            messages = frames.feed(chunk)
            if self.delay:
                await asyncio.sleep(self.delay)
            if self.on_message is None:
                await self._pass(b"".join(message for _, message in messages), server, self.forth)
                continue
            for typed, message in messages:
                if typed and self.on_message is not None:
                    try:
                        await self.on_message(message[:1], message[5:])
                    except LoseAnswer:
                        link.lost = True
                if server.is_closing():
                    return
                await self._pass(message, server, self.forth)
        server.close()

    async def _back(
        self, answers: asyncio.StreamReader, writer: asyncio.StreamWriter, link: Link
    ) -> None:
        while chunk := await answers.read(CHUNK):
            if not link.lost:
                await self._pass(chunk, writer, self.back)
                continue
            link.tail = (link.tail + chunk)[-len(READY) - 1 :]
            if link.tail.startswith(READY):
                raise ConnectionResetError
        writer.close()

    async def _pass(self, data: bytes, writer: asyncio.StreamWriter, limit: Limit) -> None:
        await self._flowing.wait()
        allowed = limit.take(data)
        writer.write(allowed)
        await writer.drain()
        if len(allowed) < len(data):
            raise ConnectionResetError
