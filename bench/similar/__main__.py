"""`python -m bench.similar`: measure, print, and write SIMILAR.md."""

import argparse
import asyncio
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.account import Account, Say
from bench.similar.measure import LIMIT, PAGE, SEARCHES, Searching, Writing, searching, writing
from bench.spread import Spread
from bench.table import Table
from dev.postgres import Postgres
from dev.stack import ROOT

STEPS = (10_000, 100_000)
PATIENCE_MS = 100.0
"""Above this a search one by one is called slow."""


@dataclass(frozen=True)
class Findings:
    """Searches from few users to many, and writes among the fewest."""

    searches: Sequence[Searching]
    writing: Writing
    seconds: float


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(prog="bench.similar", description=__doc__)
    parser.add_argument("--users", type=int, nargs="+", default=list(STEPS))
    parser.add_argument("--into", type=Path, default=ROOT / "bench", help="(%(default)s)")
    asked = parser.parse_args()
    account = Account()
    findings = asyncio.run(measure(asked.users, account.say))
    account.give(introduction(findings), tables(findings), asked.into / "SIMILAR.md")


async def measure(steps: Sequence[int], say: Say) -> Findings:
    """Measure at each number of users, with a server of its own."""
    begun = time.monotonic()
    with Postgres.start() as postgres:
        searches = [await searching(postgres, count, say) for count in steps]
        written = await writing(postgres, steps[0], say)
    return Findings(searches, written, time.monotonic() - begun)


def introduction(findings: Findings) -> str:
    """Return what was measured, and what follows."""
    largest, written = findings.searches[-1], findings.writing
    slow = PATIENCE_MS / largest.exact.median * largest.users
    times = written.indexed.median / written.plain.median
    return f"""# Similar users

Written by `make bench-similar` in {findings.seconds:.0f} s, on {os.cpu_count()} processors that
the client shares with Postgres, which keeps its files in memory and does not sync. Vectors are made
up: each
user's is of three of 50 directions, and noise. {SEARCHES} searches for the {LIMIT} nearest;
medians, with the least and the most in brackets.

**When the copy pays.** A search that looks at all takes {PATIENCE_MS:.0f} ms at about
{round(slow, -4):,.0f} users (by the time at {largest.users:,}): above that apply `db/similar.sql`.
Below it the copy saves little.

**Why a copy.** An index on `user_embeddings` itself makes the upsert of a page take {times:.0f}
times as long; with the copy a page only notes who has changed, and the index is brought up to date
after the run.
"""


def tables(findings: Findings) -> list[Table]:
    """Return what was found, as tables."""
    searches = [
        (
            f"{found.users:,}",
            _ms(found.exact),
            _ms(found.copy),
            f"{found.recall:.3f}",
            f"{found.build:.0f}",
            f"{found.refresh:.0f}",
        )
        for found in findings.searches
    ]
    written = findings.writing
    writes = [(f"{written.users:,}", *map(_ms, (written.plain, written.noted, written.indexed)))]
    return [
        Table(
            "A search",
            (
                "users",
                "all looked at, ms",
                "by the copy, ms",
                f"its recall@{LIMIT}",
                "to make the copy, s",
                f"to refresh {PAGE} in it, ms",
            ),
            searches,
        ),
        Table(
            f"The upsert of {PAGE} users, ms",
            ("users", "as it is", "with a copy", "with an index on user_embeddings"),
            writes,
        ),
    ]


def _ms(found: Spread) -> str:
    return f"{found.median:.1f} ({found.least:.1f} to {found.most:.1f})"


if __name__ == "__main__":
    main()
