"""What is said of the posts that an experiment's users were shown."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lib.embedding.schemes import WEIGHTS
from lib.experiment.comparison import FEWEST_USERS
from lib.experiment.estimate import Estimate
from lib.experiment.ratio import FEWEST_ACTING, Shares, compare_shares
from lib.store.database import Connection
from lib.store.responses import read_responses


@dataclass(frozen=True)
class Shown:
    """What k arms came to: at places that a feed chose, and at those given at random."""

    chosen: Shares
    random: Shares


async def find_shown(connection: Connection, experiment: str, places: Mapping[str, int]) -> Shown:
    """Compare the arms, whose labels have these places; whoever got another scheme is left out."""
    k = len(places)
    arms, nothing = [np.zeros(0, dtype=np.intp)], np.zeros((0, 2), dtype=np.int64)
    shown, acted = [nothing], [nothing]
    async for page in read_responses(connection, experiment, WEIGHTS):
        arm = np.array([places.get(scheme, k) for scheme in page.schemes], dtype=np.intp)
        arms.append(arm[arm < k])
        shown.append(page.shown[arm < k])
        acted.append(page.acted[arm < k])
    arm, seen, done = np.concatenate(arms), np.concatenate(shown), np.concatenate(acted)
    return Shown(*(compare_shares(arm, seen[:, at], done[:, at], k) for at in range(2)))


def shown_lines(labels: Sequence[str], found: Shown) -> Iterator[str]:
    """Say which share of the posts shown each arm's users acted on, and whether they differ."""
    if not found.chosen.shown.any() and not found.random.shown.any():
        yield "shown posts: none is known that these users were shown since their first vector"
        return
    yield "shown posts acted on, since each user's first vector and of the last 30 days:"
    yield from _table(labels, found.chosen)
    if not found.random.shown.any():
        yield "no place was given at random: no replay of these may be called unbiased"
        return
    yield "the same at places given at random; only with these may a replay be called unbiased:"
    yield from _table(labels, found.random)


def _table(labels: Sequence[str], found: Shares) -> Iterator[str]:
    width = max(map(len, labels))
    yield f"{'':{width}}    users     shown  acted on  95 % interval, by user"
    for place, label in enumerate(labels):
        shown = found.shown[place]
        share = f"{found.acted[place] / shown:.2%}" if shown else ""
        line = f"{label:{width}} {found.users[place]:8} {shown:9} {share:>9}"
        yield f"{line}  {_interval(found.shares[place])}".rstrip()
    for label, difference in zip(labels[1:], found.differences, strict=True):
        yield f"  {label}: {_verdict(difference)}"


def _interval(share: Estimate | None) -> str:
    return f"({share.low:.2%} to {share.high:.2%})" if share else ""


def _verdict(difference: Estimate | None) -> str:
    if difference is None:
        return (
            f"too few users to compare: each arm needs {FEWEST_USERS} who were shown posts,"
            f" and {FEWEST_ACTING} who acted on one"
        )
    interval = f"({100 * difference.low:+.2f} to {100 * difference.high:+.2f})"
    if not difference.shown:
        return f"no difference shown {interval}"
    return f"{100 * difference.value:+.2f} percentage points {interval}"
