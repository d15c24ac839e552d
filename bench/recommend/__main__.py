"""`python -m bench.recommend`: measure, print, and write RECOMMEND.md."""

import argparse
import asyncio
from pathlib import Path

from bench.account import Account
from bench.recommend.measure import measure
from bench.recommend.report import introduction, tables
from dev.stack import ROOT

POSTS = 100_000
LEAST = 20_000  # a user knows 5,000
COMMAND = "make bench-recommend"


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(prog="bench.recommend", description=__doc__)
    parser.add_argument("--posts", type=int, default=POSTS, help=f"at least {LEAST} (%(default)s)")
    parser.add_argument(
        "--into", type=Path, default=ROOT / "bench", help="where RECOMMEND.md goes (%(default)s)"
    )
    asked = parser.parse_args()
    if asked.posts < LEAST:
        parser.error(f"expected {LEAST} posts or more, got {asked.posts}")
    whole = asked.posts == POSTS
    command = COMMAND if whole else f"python -m bench.recommend --posts {asked.posts}"
    account = Account()
    findings = asyncio.run(measure(asked.posts, command, account.say))
    account.give(introduction(findings), list(tables(findings)), asked.into / "RECOMMEND.md")


if __name__ == "__main__":
    main()
