"""`python -m bench`: measure, print, and write RESULTS.md and its picture."""

import argparse
import asyncio
from pathlib import Path

from bench.account import Account
from bench.measure import measure
from bench.report import introduction, tables
from dev.stack import ROOT

USERS, ACTIONS, POSTS = 20_000, 100, 50_000
LEAST = 2000  # the largest page
COMMAND = "make bench"


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
    account = Account()
    findings = asyncio.run(measure(asked.users, ACTIONS, POSTS, command, account.say))
    account.give(introduction(findings), list(tables(findings)), asked.into / "RESULTS.md")

    from bench.plot import plot_costs  # noqa: PLC0415  # 30 MB that no function ever has

    plot_costs(findings.standings, asked.into / "cost.svg")


if __name__ == "__main__":
    main()
