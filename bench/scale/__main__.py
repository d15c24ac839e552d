"""`python -m bench.scale`: run, print, and write SCALE.md and its picture."""

import argparse
import asyncio
from pathlib import Path

from bench.account import Account
from bench.plot import plot_pages
from bench.scale.measure import measure
from bench.scale.report import introduction, tables
from dev.stack import ROOT

STEPS = (10_000, 100_000, 1_000_000)
POSTS = 50_000
COMMAND = "make bench-scale"
LEAST = 10_000  # 20 pages, of which the 10th to the 20th are looked at


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
    account = Account()
    findings = asyncio.run(measure(asked.users, POSTS, command, account.say))
    account.give(introduction(findings), list(tables(findings)), asked.into / "SCALE.md")
    plot_pages(findings.lone, asked.into / "pages.svg")


if __name__ == "__main__":
    main()
