"""A stream of bytes in pieces, read as they arrive or at once on demand."""

import asyncio
import socket
from collections.abc import Callable

_CHUNK = 65_536


class Channel:
    """Give `take` every piece that ends in `mark`, and call `ended` once when the stream ends."""

    def __init__(
        self,
        stream: socket.socket,
        mark: bytes,
        take: Callable[[bytes], None],
        ended: Callable[[], None],
    ) -> None:
        stream.settimeout(0)
        self._stream = stream
        self._mark = mark
        self._take = take
        self._ended = ended
        self._rest = b""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(stream, self.read)

    def read(self) -> None:
        """Take all that has arrived by now."""
        while self._stream.fileno() >= 0:
            try:
                chunk = self._stream.recv(_CHUNK)
            except BlockingIOError:
                return
            except ConnectionResetError:
                chunk = b""
            if not chunk:
                self.close()
                self._ended()
                return
            *pieces, self._rest = (self._rest + chunk).split(self._mark)
            for piece in pieces:
                self._take(piece)

    def close(self) -> None:
        """Stop reading; a second call does nothing."""
        if self._stream.fileno() >= 0:
            self._loop.remove_reader(self._stream)
            self._stream.close()
