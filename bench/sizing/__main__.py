"""`python -m bench.sizing`: what runs of some sizes take and cost."""

import argparse
import sys
from collections.abc import Callable
from dataclasses import replace

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table as Printed

from bench.sizing.counts import Load
from bench.sizing.duration import MEASURED
from bench.sizing.prices import SERVICES
from bench.sizing.tables import Table, tables
from lib.settings import CacheMode

SIZES = (10_000, 100_000, 1_000_000, 10_000_000, 100_000_000)
CHAINS = (1, 4, 16, 64)
SOURCES = tuple(f"Prices of {service.name}: {service.seen}" for service in SERVICES)
MOST = 1_000_000_000
MOST_MILLISECONDS = 1_000_000


def main(arguments: list[str]) -> None:
    """Print the tables that the arguments ask for."""
    asked = _parser().parse_args(arguments)
    loads = [
        Load(users, asked.page_size, asked.actions, asked.posts, cache=asked.cache_mode)
        for users in asked.users
    ]
    rate = replace(MEASURED, page=asked.ms_per_page, user=asked.ms_per_user)
    found = tables(loads, rate, tuple(asked.chains))
    if asked.markdown:
        parts = [*(table.markdown() for table in found), "\n".join(f"- {line}" for line in SOURCES)]
        sys.stdout.write("\n\n".join(parts) + "\n")
    else:
        _show(found)


def _show(found: tuple[Table, ...]) -> None:
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 140)
    for table in found:
        printed = Printed(title=table.title, title_justify="left", box=SIMPLE)
        for place, name in enumerate(table.header):
            printed.add_column(name, justify="right" if place else "left")
        for row in table.rows:
            printed.add_row(*(cell.replace("`", "") for cell in row))
        console.print(printed)
    for line in SOURCES:
        console.print(line)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.sizing")
    add = parser.add_argument
    add("--users", type=_whole(1), nargs="+", default=SIZES, help="active users a run")
    add("--chains", type=_whole(1), nargs="+", default=CHAINS, help="PARALLEL_CHAINS")
    add("--page-size", type=_whole(1), default=500, help="PAGE_SIZE")
    add("--actions", type=_whole(1), default=100, help="of a user, within the lookback")
    add("--posts", type=_whole(2), default=50_000, help="that they fall on")
    add(
        "--cache-mode",
        type=CacheMode,
        choices=list(CacheMode),
        default=CacheMode.WRITE,
        help="CACHE_MODE",
    )
    add(
        "--ms-per-page",
        type=_milliseconds,
        default=MEASURED.page,
        help="of the function, besides users",
    )
    add(
        "--ms-per-user",
        type=_milliseconds,
        default=MEASURED.user,
        help="of the function, besides actions",
    )
    add("--markdown", action="store_true", help="as the README has it")
    return parser


def _whole(least: int) -> Callable[[str], int]:
    def whole(text: str) -> int:
        number = int(text)
        if not least <= number <= MOST:
            raise argparse.ArgumentTypeError(f"expected {least} to {MOST:,}, got {text}")
        return number

    return whole


def _milliseconds(text: str) -> float:
    number = float(text)
    if not 0 <= number <= MOST_MILLISECONDS:
        raise argparse.ArgumentTypeError(f"expected 0 to {MOST_MILLISECONDS:,}, got {text}")
    return number


if __name__ == "__main__":
    main(sys.argv[1:])
