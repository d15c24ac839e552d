"""One instance of a function: a process under the real `vercel_runtime`, and what it says."""

import asyncio
import base64
import itertools
import json
import os
import socket
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from dev.functions.channel import Channel
from dev.functions.program import Program

START_SECONDS = 30.0
GRACE_SECONDS = 0.5
_EXIT_SECONDS = 5.0
_numbers = itertools.count()


class NotStarted(Exception):
    """The function's process ended, or kept silent, before it served."""


class Process:
    """A function's process from its start to its end, within the running event loop.

    `log` gets every line the function logs or writes. `sockets` is a folder for its socket.
    """

    def __init__(
        self,
        program: Program,
        environ: Mapping[str, str],
        sockets: Path,
        log: Callable[[str], None],
    ) -> None:
        self._log = log
        self._port: int | None = None
        self._settled = asyncio.Event()
        self._ended = asyncio.Event()
        path = str(sockets / str(next(_numbers)))
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        self._listener.listen(1)
        self._listener.settimeout(0)
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603  # the interpreter, no shell
                program.command,
                cwd=program.folder,
                env={
                    "PATH": os.environ.get("PATH", os.defpath),
                    **environ,
                    **program.variables,
                    "VERCEL_IPC_PATH": path,
                },
                stdin=subprocess.DEVNULL,
                stdout=theirs.fileno(),
                stderr=theirs.fileno(),
            )
        self._output = Channel(ours, b"\n", self._line, self.kill)
        self._messages: Channel | None = None
        asyncio.get_running_loop().add_reader(self._listener, self._connect)

    @property
    def pid(self) -> int | None:
        """The process id, None once the process has ended."""
        self.catch_up()
        return None if self._process.poll() is not None else self._process.pid

    async def port(self) -> int:
        """Wait until the function serves and return its port on 127.0.0.1, or raise NotStarted."""
        try:
            async with asyncio.timeout(START_SECONDS):
                await self._settled.wait()
        except TimeoutError:
            self.kill()
        if self._port is None:
            raise NotStarted
        return self._port

    def catch_up(self) -> None:
        """Log what the function has said up to now."""
        if self._messages is None:
            self._connect()
        if self._messages is not None:
            self._messages.read()
        self._output.read()

    async def stop(self) -> None:
        """End the process as Vercel does: SIGTERM, half a second of grace, SIGKILL."""
        self._process.terminate()
        if not await self.ended(GRACE_SECONDS):
            self.kill()

    async def ended(self, seconds: float) -> bool:
        """Wait up to `seconds` for the process to end, and tell whether it has."""
        try:
            async with asyncio.timeout(seconds):
                await self._ended.wait()
        except TimeoutError:
            return False
        return True

    def kill(self) -> None:
        """End the process (SIGKILL); when this returns it is gone and its last words are logged."""
        self._process.kill()
        self._process.wait(_EXIT_SECONDS)
        self.catch_up()
        if self._messages is not None:
            self._messages.close()
        self._output.close()
        self._close_listener()
        self._settled.set()
        self._ended.set()

    def _connect(self) -> None:
        if self._listener.fileno() < 0:
            return
        try:
            stream, _ = self._listener.accept()
        except BlockingIOError:
            return
        self._close_listener()
        self._messages = Channel(stream, b"\0", self._message, lambda: None)

    def _close_listener(self) -> None:
        if self._listener.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()

    def _message(self, piece: bytes) -> None:
        message = json.loads(piece)
        payload = message["payload"]
        if message["type"] == "server-started":
            self._port = payload["httpPort"]
            self._settled.set()
        elif message["type"] == "log":
            for line in base64.b64decode(payload["message"]).splitlines():
                self._line(line)

    def _line(self, line: bytes) -> None:
        if line.strip():
            self._log(line.decode(errors="replace"))
