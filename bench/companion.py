"""A module of ours in a process of its own, for as long as a block runs."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from dev.stack import ROOT

START_SECONDS = 600.0  # a load of 20 million rows says something only at its end
END_SECONDS = 10.0


@asynccontextmanager
async def companion(module: str, *arguments: object) -> AsyncIterator[Any]:
    """Run `python -m module arguments`, yield the JSON that its first line is, end its input."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        *map(str, arguments),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for us, who end it
    )
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("expected pipes")
    try:
        async with asyncio.timeout(START_SECONDS):
            line = await process.stdout.readline()
        if not line:
            raise RuntimeError(f"expected a line from {module}, got none")
        yield json.loads(line)
        process.stdin.close()
        async with asyncio.timeout(END_SECONDS):
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
