"""Where the datasets that are fitted on come from."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

from dev.world import invent
from evaluation.dataset import Dataset
from evaluation.folder import read_folder
from evaluation.live import DAYS, Limits, read_sample, session
from evaluation.world import of_world
from lib.settings import DatabaseSettings, Environ

DEMO = "demo"
NOW = datetime(2026, 5, 4, tzinfo=UTC)
"""When the demo's world ends here: the same whenever it is asked for."""

LIMITS = Limits(users=2_000, actions=200_000, acted_on=2_500, posts=3_000)


def read(name: str) -> Dataset:
    """Read a folder, or make up the demo's world. Raises OSError, LookupError or ValueError."""
    return demo() if name == DEMO else read_folder(Path(name))


def demo() -> Dataset:
    """Return the world of the demonstration."""
    about = (
        "What `make demo` runs over: 2,000 made-up users who mostly look at posts of the topics"
        " they like, at some posts more often than at others, and at no new post rather than at an"
        " old one: so that it says nothing of freshness, except that fewer have seen a new post."
    )
    return of_world(invent(NOW), DEMO, about)


async def _sample(url: str, lookback: timedelta) -> Dataset:
    async with session(url) as opened:
        return (await read_sample(opened, "a live platform", lookback, LIMITS)).dataset


def read_live(environ: Environ) -> Dataset:
    """Read a sample of the platform at DATABASE_URL, over twice DAYS, and change nothing.

    Raises ServiceError, Trouble or ValueError.
    """
    settings = DatabaseSettings.load(environ)
    lookback = timedelta(days=DAYS.load(environ))
    return asyncio.run(_sample(settings.url, lookback))
