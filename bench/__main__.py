"""`python -m bench`: measure, print, and write RESULTS.md and its picture."""

import argparse
import asyncio
import time
from pathlib import Path

from rich.console import Console

from bench.measure import measure
from bench.report import introduction, tables
from bench.table import wrapped
from dev.stack import ROOT

USERS, ACTIONS, POSTS = 20_000, 100, 50_000
LEAST = 2000  # the largest page
COMMAND = "make bench"
WIDTH = 140


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--users", type=int, default=USERS, help=f"at least {LEAST} (%(default)s)")
    parser.add_argument(
        "--into", type=Path, default=ROOT / "bench", help="where RESULTS.md goes (%(default)s)"
    )
    asked = parser.parse_args()
    if asked.users < LEAST:
        parser.error(f"expected {LEAST} users or more, got {asked.users}")
    command = COMMAND if asked.users == USERS else f"python -m bench --users {asked.users}"
    console = Console(highlight=False, width=WIDTH)
    begun = time.monotonic()

    def say(what: str) -> None:
        console.print(f"{time.monotonic() - begun:5.0f} s  {what} ...")

    findings = asyncio.run(measure(asked.users, ACTIONS, POSTS, command, say))
    for table in tables(findings):
        table.show(console)
    sections = (table.markdown() for table in tables(findings))
    page = [wrapped(introduction(findings)) + "\n", *sections]
    (asked.into / "RESULTS.md").write_text("\n".join(page), encoding="utf-8")

    from bench.plot import plot_costs  # noqa: PLC0415  # 30 MB that no function ever has

    plot_costs(findings.standings, asked.into / "cost.svg")


if __name__ == "__main__":
    main()
