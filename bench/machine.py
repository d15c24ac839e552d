"""What it was measured on."""

import os
import platform as host
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from bench.platform import Platform

PACKAGES = ("numpy", "asyncpg", "pgvector", "orjson", "upstash-redis")
MEGABYTE = 1_000_000

POSTGRES = """
SELECT current_setting('server_version'), extversion FROM pg_extension WHERE extname = 'vector'
"""


@dataclass(frozen=True)
class Machine:
    """Versions by name, and the number of processors."""

    versions: Mapping[str, str]
    processors: int

    def __str__(self) -> str:
        versions = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        return f"{versions}; {self.processors} processors"


async def machine(platform: Platform) -> Machine:
    """Ask the interpreter, the packages and the server."""
    postgres, pgvector = await platform.connection.fetchrow(POSTGRES)
    versions = {"Postgres": postgres, "its pgvector": pgvector, "Python": host.python_version()}
    versions |= {package: version(package) for package in PACKAGES}
    return Machine(versions, len(os.sched_getaffinity(0)))


def memory(pid: int | str = "self") -> float:
    """Return the most memory that a process has ever had resident, in MB."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    [line] = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024 / MEGABYTE
