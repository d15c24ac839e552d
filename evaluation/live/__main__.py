"""`python -m evaluation.live`: judge the schemes by a sample of the platform at DATABASE_URL."""

import argparse
import asyncio
import os
import sys
from datetime import timedelta
from pathlib import Path

from bench.account import Account
from evaluation.findings import evaluate
from evaluation.live import DAYS, Limits, Sample, Trouble, read_sample, session
from evaluation.picture import plot
from evaluation.report import tables
from evaluation.words import introduction
from lib.errors import ServiceError
from lib.settings import DatabaseSettings

COMMAND = "make evaluate DATABASE_URL=..."
LIMITS = Limits(users=1_000, actions=200_000, acted_on=5_000, posts=6_000)
"""Less than could be read: each of many variants ranks every post for every user at eight cuts."""


def main() -> None:
    """Evaluate the platform, over twice DAYS."""
    parser = argparse.ArgumentParser(prog="evaluation.live", description=__doc__)
    parser.add_argument(
        "--into",
        type=Path,
        default=Path(".cache", "evaluation"),
        help="where results go (%(default)s)",
    )
    into = parser.parse_args().into
    account = Account()
    account.say("reading, in a transaction that can write nothing")
    try:
        settings = DatabaseSettings.load(os.environ)
        lookback = timedelta(days=DAYS.load(os.environ))
        dataset = asyncio.run(_read(settings.url, lookback)).dataset
        findings = evaluate(dataset, account.say)
    except (ServiceError, Trouble, ValueError) as error:
        sys.exit(f"make evaluate: {error}")
    into.mkdir(parents=True, exist_ok=True)
    words = introduction(findings, COMMAND)
    account.give(words, list(tables(findings)), into / "RESULTS.md")
    plot(findings, into / "quality.png")


async def _read(url: str, lookback: timedelta) -> Sample:
    async with session(url) as opened:
        return await read_sample(opened, "a live platform", lookback, LIMITS)


if __name__ == "__main__":
    main()
