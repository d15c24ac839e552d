"""The command line that `dev.demo` and `dev.up` share."""

import argparse
import asyncio
import io
import sys
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from dev.demo.data import choose
from dev.demo.failure import Failure
from dev.demo.servers import Servers, started
from dev.world import World

BROKEN = 1
FAILED = 2
PLAIN_WIDTH = 100

type Act = Callable[[World, Servers, Console], Coroutine[None, None, bool]]


def run(act: Act, arguments: list[str]) -> int:
    """Act on the data that a command line names; return the exit code."""
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "folder",
        nargs="?",
        type=Path,
        help="a recorded data set; without one the data is invented",
    )
    folder = parser.parse_args(arguments).folder
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # titles are in any language, terminals not
    console = Console(highlight=False, width=None if sys.stdout.isatty() else PLAIN_WIDTH)
    try:
        world = choose(folder, datetime.now(UTC))
        console.print("starting the servers, loading the data ...")
        with started() as servers:
            kept = asyncio.run(act(world, servers, console))
    except Failure as failure:
        print(failure, *getattr(failure, "__notes__", ()), sep="\n", file=sys.stderr)
        return FAILED
    return 0 if kept else BROKEN
