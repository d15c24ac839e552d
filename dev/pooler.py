"""A real pgbouncer in front of Postgres's Unix socket, for as long as a block runs."""

import asyncio
import os
import shutil
import tempfile
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self
from urllib.parse import quote

import asyncpg

START_SECONDS = 10.0
STOP_SECONDS = 5.0
LOOK_SECONDS = 0.01

# Whoever comes is let in as one role, also to the console (the database pgbouncer). Server
# connections take turns: a client hardly ever meets the same one twice.
SETTINGS = """\
[databases]
* = host={server} port=5432 user={user}

[pgbouncer]
unix_socket_dir = {folder}
listen_port = 5432
auth_type = any
admin_users = anybody
pool_mode = transaction
default_pool_size = {pool_size}
max_client_conn = 200
server_round_robin = 1
server_lifetime = {server_lifetime}
"""


class Pooler:
    """A running pgbouncer, which lends a client a server connection for one transaction."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @classmethod
    @asynccontextmanager
    async def start(
        cls, server: Path, *, pool_size: int, server_lifetime: int = 3600, user: str = "postgres"
    ) -> AsyncIterator[Self]:
        """Stand in front of the socket `server` within the block.

        A database gets up to `pool_size` server connections, each replaced after `server_lifetime`
        seconds (0: after one transaction); all of them are `user`'s. RuntimeError, with all that
        pgbouncer said, where it does not start or does not live as long as the block;
        FileNotFoundError without pgbouncer.
        """
        program = installed()
        if program is None:
            raise FileNotFoundError("expected pgbouncer to be installed")
        with tempfile.TemporaryDirectory(prefix="pooler-") as name:
            folder = Path(name)
            owner = _prepare(folder, server, pool_size, server_lifetime, user)
            with (folder / "log").open("wb") as log:
                process = await asyncio.create_subprocess_exec(
                    program,
                    folder / "pgbouncer.ini",
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    user=owner.st_uid,
                    group=owner.st_gid,
                )
            try:
                await _listening(process, folder)
                yield cls(folder)
                _alive(process, folder)
            finally:
                await _stop(process)

    @property
    def socket(self) -> Path:
        return self._folder / ".s.PGSQL.5432"

    def url(self, database: str, user: str = "anybody") -> str:
        return f"postgresql://{user}@/{quote(database, safe='')}?host={self._folder}"

    async def drop(self, database: str) -> None:
        """Disconnect whoever uses `database`, as Postgres does where it is dropped, for good."""
        name = database.replace('"', '""')
        console = await asyncpg.connect(
            self.url("pgbouncer"), timeout=STOP_SECONDS, command_timeout=STOP_SECONDS
        )
        try:
            await console.execute(f'KILL "{name}"')
        finally:
            await console.close()


def installed() -> str | None:
    """Return the path of pgbouncer, None if there is none on this machine."""
    # Debian puts it where only root looks for programs.
    return shutil.which("pgbouncer", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")


def _prepare(
    folder: Path, server: Path, pool_size: int, server_lifetime: int, user: str
) -> os.stat_result:
    """Write the settings; return whom pgbouncer runs as, for it refuses to run as root."""
    owner = server.stat()  # nobody else gets to the socket
    (folder / "pgbouncer.ini").write_text(
        SETTINGS.format(
            server=server.parent,
            folder=folder,
            pool_size=pool_size,
            server_lifetime=server_lifetime,
            user=user,
        )
    )
    os.chown(folder, owner.st_uid, owner.st_gid)
    return owner


def _alive(process: Process, folder: Path) -> None:
    if process.returncode is not None:
        raise RuntimeError(f"pgbouncer ended with {process.returncode}: {_said(folder)}")


def _said(folder: Path) -> str:
    return (folder / "log").read_text(errors="replace").strip()


async def _listening(process: Process, folder: Path) -> None:
    try:
        async with asyncio.timeout(START_SECONDS):
            while not await _answers(folder):
                _alive(process, folder)
                await asyncio.sleep(LOOK_SECONDS)
    except TimeoutError as error:
        raise RuntimeError(f"pgbouncer took over {START_SECONDS} s: {_said(folder)}") from error


async def _answers(folder: Path) -> bool:
    try:
        _, writer = await asyncio.open_unix_connection(folder / ".s.PGSQL.5432")
    except (FileNotFoundError, ConnectionRefusedError):
        return False
    writer.close()
    await writer.wait_closed()
    return True


async def _stop(process: Process) -> None:
    # At once, as its signals do in some versions only: others first wait for the clients to go.
    if process.returncode is None:
        process.kill()
    async with asyncio.timeout(STOP_SECONDS):
        await process.wait()
