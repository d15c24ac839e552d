"""A Unix socket in front of Postgres's own, that counts, watches, delays and cuts connections."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Self

CHUNK = 262_144  # bytes
ENCRYPTION = {80877103, 80877104}  # SSLRequest, GSSENCRequest: the startup packet comes after them


class Proxy:
    """Forwards connections; what is set on it holds at once, also for those that are open.

    `on_message(type, payload)` is awaited for every message of a client after its startup packet,
    before it is forwarded and after all earlier ones were. What it raises ends the connection.
    """

    def __init__(self, upstream: Path, folder: Path) -> None:
        self.on_message: Callable[[bytes, bytes], Awaitable[None]] | None = None
        self.connections = 0  # ever made, refused ones included
        self.delay = 0.0  # seconds before each burst of messages is forwarded
        self.refuse = False
        self._upstream = upstream
        self._folder = folder
        self._ends: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @classmethod
    @asynccontextmanager
    async def start(cls, upstream: Path) -> AsyncIterator[Self]:
        """Stand in front of the socket `upstream` within the block."""
        with tempfile.TemporaryDirectory(prefix="proxy-") as folder:
            proxy = cls(upstream, Path(folder))
            server = await asyncio.start_unix_server(proxy._accept, f"{folder}/.s.PGSQL.5432")
            try:
                yield proxy
            finally:
                server.close()
                proxy.cut()
                for task in proxy._tasks:
                    task.cancel()
                await asyncio.gather(*proxy._tasks, return_exceptions=True)
                await server.wait_closed()

    def url(self, database: str, user: str = "postgres") -> str:
        return f"postgresql://{user}@/{database}?host={self._folder}"

    def cut(self) -> None:
        """Break every open connection, on both sides."""
        for end in self._ends:
            end.transport.abort()

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
                async with asyncio.TaskGroup() as both:
                    both.create_task(self._forth(reader, server))
                    both.create_task(_back(answers, writer))
        finally:
            for end in ends:
                end.close()
            for end in ends:
                with suppress(OSError):
                    await end.wait_closed()
            self._ends.difference_update(ends)

    async def _forth(self, reader: asyncio.StreamReader, server: asyncio.StreamWriter) -> None:
        frames = Frames()
        while chunk := await reader.read(CHUNK):
            messages = frames.feed(chunk)
            if self.delay:
                await asyncio.sleep(self.delay)
            if self.on_message is None:
                server.write(b"".join(message for _, message in messages))
            else:
                for typed, message in messages:
                    if typed and self.on_message is not None:
                        await self.on_message(message[:1], message[5:])
                    if server.is_closing():
                        return
                    server.write(message)
            await server.drain()
        server.close()


async def _back(answers: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await answers.read(CHUNK):
        writer.write(chunk)
        await writer.drain()
    writer.close()


class Frames:
    """Cuts what a client sends into whole messages."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._typed = False

    def feed(self, data: bytes) -> list[tuple[bool, bytes]]:
        """Return the messages that are complete now, each with whether it has a type byte."""
        self._buffer += data
        messages = []
        at = 0
        while True:
            length_at = at + self._typed
            length = int.from_bytes(self._buffer[length_at : length_at + 4])
            end = length_at + max(length, 4)
            if end > len(self._buffer):
                break
            message = bytes(self._buffer[at:end])
            messages.append((self._typed, message))
            if not self._typed:
                self._typed = int.from_bytes(message[4:8]) not in ENCRYPTION
            at = end
        del self._buffer[:at]
        return messages
