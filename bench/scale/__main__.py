"""`python -m bench.scale`: run, print, and write SCALE.md and its picture."""

import argparse
import asyncio
import time
from pathlib import Path

from rich.console import Console

from bench.plot import plot_pages
from bench.scale.measure import measure
from bench.scale.report import introduction, tables
from bench.table import wrapped
from dev.stack import ROOT

STEPS = (10_000, 100_000, 1_000_000)
POSTS = 50_000
COMMAND = "make bench-scale"
LEAST = 10_000  # 20 pages, of which the 10th to the 20th are looked at
WIDTH = 140


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(prog="bench.scale", description=__doc__)
    parser.add_argument(
        "--users",
        type=int,
        nargs="+",
        default=list(STEPS),
        help=f"ascending, {LEAST} or more each (%(default)s)",
    )
    parser.add_argument(
        "--into", type=Path, default=ROOT / "bench", help="where SCALE.md goes (%(default)s)"
    )
    asked = parser.parse_args()
    if asked.users != sorted(asked.users) or asked.users[0] < LEAST:
        parser.error(f"expected ascending numbers of {LEAST} or more, got {asked.users}")
    shown = " ".join(map(str, asked.users))
    command = COMMAND if asked.users == list(STEPS) else f"python -m bench.scale --users {shown}"
    console = Console(highlight=False, width=WIDTH)
    begun = time.monotonic()

    def say(what: str) -> None:
        console.print(f"{time.monotonic() - begun:5.0f} s  {what} ...")

    findings = asyncio.run(measure(asked.users, POSTS, command, say))
    for table in tables(findings):
        table.show(console)
    sections = (table.markdown() for table in tables(findings))
    page = [wrapped(introduction(findings)) + "\n", *sections]
    (asked.into / "SCALE.md").write_text("\n".join(page), encoding="utf-8")
    plot_pages(findings.lone, asked.into / "pages.svg")


if __name__ == "__main__":
    main()
