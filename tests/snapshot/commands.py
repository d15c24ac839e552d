"""The command `restore` in a process of its own."""

import asyncio
import os
import sys
from collections.abc import Mapping

from dev.stack import ROOT


async def begin(environ: Mapping[str, str], *name: str) -> asyncio.subprocess.Process:
    """Start `schedule.py restore`."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "schedule.py", "restore", *name),
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environ},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def restore(environ: Mapping[str, str], *name: str) -> str:
    """Restore to the end and return what was printed."""
    process = await begin(environ, *name)
    printed, said = await process.communicate()
    assert process.returncode == 0, said.decode()
    return printed.decode()


async def refused(environ: Mapping[str, str], *name: str) -> str:
    """Restore, and return why that was refused."""
    process = await begin(environ, *name)
    _, said = await process.communicate()
    assert process.returncode == 2, said.decode()
    assert len(said.splitlines()) == 1
    return said.decode()
