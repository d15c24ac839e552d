"""The time that a network takes, put in front of servers on this machine.

`python -m dev.latency SECONDS SERVER...`: says in a line of JSON where each server, a Unix socket's
path or `host:port`, is reached with that round trip; ends when its input does.
"""

import asyncio
import json
import selectors
import socket
import sys
import tempfile
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

type Connect = Callable[[Callable[[], asyncio.Protocol]], Awaitable[Any]]


@asynccontextmanager
async def distant(server: str, round_trip: float) -> AsyncIterator[str]:
    """Yield an address at which `server` is reached, every byte late by half of `round_trip` s.

    Bytes wait side by side, so that throughput is not limited. Connecting itself takes no time. A
    selector that counts in milliseconds, as epoll does, makes delays as coarse: see `fine_loop`.
    """
    loop = asyncio.get_running_loop()
    clients: set[Client] = set()
    async with AsyncExitStack() as parts:
        if server.startswith("/"):
            folder = parts.enter_context(tempfile.TemporaryDirectory(prefix="distant-"))
            address = f"{folder}/{Path(server).name}"  # Postgres's clients know its socket by name
            connect: Connect = partial(loop.create_unix_connection, path=server)
            opened = await loop.create_unix_server(
                partial(Client, round_trip / 2, connect, clients), path=address
            )
        else:
            host, _, port = server.rpartition(":")
            connect = partial(loop.create_connection, host=host, port=int(port))
            opened = await loop.create_server(
                partial(Client, round_trip / 2, connect, clients), host=host, port=0
            )
            address = f"{host}:{opened.sockets[0].getsockname()[1]}"
        parts.callback(opened.close)
        yield address
        for client in list(clients):
            client.cut()
        await asyncio.sleep(0)  # until their sockets are closed


class End(asyncio.Protocol):
    """One end of a connection; what arrives at it leaves at its peer after `delay` s."""

    def __init__(self, delay: float) -> None:
        self.transport: asyncio.Transport
        self.peer: End | None = None
        self.ended = False
        self._delay = delay
        self._waiting: deque[tuple[float, Callable[[], None]]] = deque()
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        connection = transport.get_extra_info("socket")
        if connection.family != socket.AF_UNIX:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        if self.peer:
            self._later(partial(self.peer.transport.write, data))

    def eof_received(self) -> bool:
        if self.peer:
            self._later(partial(self._end, self.peer))
        return True  # the other direction stays open

    def connection_lost(self, _error: Exception | None) -> None:
        if self.peer:
            self._later(self.peer.transport.close)

    def pause_writing(self) -> None:
        if self.peer:
            self.peer.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.peer:
            self.peer.transport.resume_reading()

    def _end(self, peer: "End") -> None:
        peer.transport.write_eof()
        self.ended = True
        if peer.ended:
            self.transport.close()
            peer.transport.close()

    def _later(self, act: Callable[[], None]) -> None:
        due = self._loop.time() + self._delay
        self._waiting.append((due, act))
        if len(self._waiting) == 1:
            self._loop.call_at(due, self._due)

    def _due(self) -> None:
        now = self._loop.time()
        while self._waiting and self._waiting[0][0] <= now:
            self._waiting.popleft()[1]()
        if self._waiting:
            self._loop.call_at(self._waiting[0][0], self._due)


class Client(End):
    """The end towards a client, one of `clients` while it is open; it opens the other one."""

    def __init__(self, delay: float, connect: Connect, clients: "set[Client]") -> None:
        super().__init__(delay)
        self._connect = connect
        self._clients = clients

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._clients.add(self)
        self.transport.pause_reading()
        self._opening = self._loop.create_task(self._open())

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self._clients.discard(self)

    async def _open(self) -> None:
        server = End(self._delay)
        server.peer = self
        try:
            await self._connect(lambda: server)
        except OSError:
            self.transport.abort()
            return
        self.peer = server
        if self.transport.is_closing():
            server.transport.abort()
        self.transport.resume_reading()

    def cut(self) -> None:
        """Break the connection, on both sides."""
        self._opening.cancel()
        self.transport.abort()
        if self.peer:
            self.peer.transport.abort()


def fine_loop() -> asyncio.AbstractEventLoop:
    """Return an event loop that waits by the microsecond."""
    return asyncio.SelectorEventLoop(selectors.SelectSelector())


async def main(round_trip: float, servers: list[str]) -> None:
    """Stand in front of the servers until the input ends."""
    async with AsyncExitStack() as parts:
        addresses = [
            await parts.enter_async_context(distant(server, round_trip)) for server in servers
        ]
        sys.stdout.write(json.dumps(addresses) + "\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=fine_loop) as runner:
        runner.run(main(float(sys.argv[1]), sys.argv[2:]))
