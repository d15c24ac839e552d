"""All that is found out about a platform."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from evaluation.live import Limits, Sample, read_sample, session
from evaluation.live.session import SECONDS
from evaluation.tryout.indexes import Indexes, find_indexes
from evaluation.tryout.month import Month, month
from evaluation.tryout.people import People, people
from evaluation.tryout.worth import Worth, worth

type Say = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Findings:
    """A sample, read in `seconds`, and what comes of it."""

    sample: Sample
    seconds: float
    people: People
    worth: Worth
    indexes: Indexes
    month: Month


async def find_out(
    url: str,
    lookback: timedelta,
    say: Say,
    limits: Limits | None = None,
    seconds: float = SECONDS,
) -> Findings:
    """Read a platform, `seconds` a statement at most, then reckon without it.

    Raises Trouble where it cannot be read, Unavailable where Postgres is.
    """
    begun = time.monotonic()
    say("reading, in a transaction that can write nothing")
    async with session(url, seconds) as opened:
        sample = await read_sample(opened, "the platform", lookback, limits)
        indexes = await find_indexes(opened, sample)
    took = time.monotonic() - begun
    say(f"making {sample.dataset.users:,} users' vectors")
    found = people(sample)
    say("ranking posts for them at cuts in time")
    return Findings(sample, took, found, worth(sample.dataset), indexes, month(sample, found))
