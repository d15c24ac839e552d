"""Whole users with all they did of late, and posts: as a dataset, bounded, and the same again."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from evaluation.dataset import Actions, Dataset
from evaluation.live.log import BUCKETS, Overview, overview, read_actions
from evaluation.live.posts import UNKNOWN, Posts, State, count_embeddings, read_posts, some_posts
from evaluation.live.session import Session, Trouble
from evaluation.live.tables import Relation, find_tables
from lib.settings.variable import Variable, whole
from lib.store.actions import microseconds

DAYS = Variable(
    "DAYS", "the lookback to look at", "a whole number from 1 to 3650", whole(1, 3650), default="90"
)

SEED = 5
OTHERS = "(others)"
"""Stands for all types of action beyond the most frequent ones."""

NOW = """
SELECT now()
"""

USERS = """
SELECT count(*) FROM users
"""

EXISTING = """
SELECT string_agg(uuid_send(id), '')
FROM users
WHERE id = ANY (string_to_array($1::TEXT, ',')::UUID[])
"""


@dataclass(frozen=True)
class Limits:
    """How much is read at most.

    `acted_on`: of the posts, those that users of the sample did something with; the rest are drawn
    from all that have an embedding.
    """

    users: int = 20_000
    actions: int = 500_000
    acted_on: int = 40_000
    posts: int = 50_000


@dataclass(frozen=True, eq=False)
class Sample:
    """What was read of a platform.

    `dataset`: users in random order, times not later than `read_at` (microseconds since 2000),
    going back twice the lookback; `ids`: (u,) theirs, of V16, and `exist`: (u,) whether `users` has
    them. `share`: of all users who acted in that time, those in it. `log`: all that the log holds
    of that time. `embedded`: rows of `post_embeddings` in all; `accounts`: rows of `users`.
    """

    dataset: Dataset
    ids: NDArray[np.void]
    exist: NDArray[np.bool_]
    posts: Posts
    read_at: int
    lookback: timedelta
    share: float
    log: Overview
    embedded: int
    accounts: int
    tables: Mapping[str, Relation]


async def read_sample(
    session: Session, name: str, lookback: timedelta, limits: Limits | None = None
) -> Sample:
    """Read a sample; `name` is what the dataset is called.

    Raises Trouble where a table is missing, not as expected, not readable, too slow or empty.
    """
    limits = limits or Limits()
    tables = await find_tables(session)
    now: datetime = await session.value("the clock", NOW)
    log = await overview(session, now - 2 * lookback)
    buckets = log.fitting(limits.actions)
    names = list(log.types)
    records = await read_actions(session, now - 2 * lookback, buckets, names)
    if not len(records):
        raise Trouble(
            f"expected actions in action_log within the last {2 * lookback.days} days, got none"
        )
    ids, users = np.unique(records["user"], return_inverse=True)
    places = np.random.default_rng(SEED).permutation(len(ids))
    users = places[users]
    kept = min(limits.users, _users_within(users, records["post"].copy(), limits.acted_on))
    share = len(buckets) / BUCKETS * kept / len(ids)
    chosen = np.flatnonzero(users < kept)
    records, users = records[chosen], users[chosen]
    ids = ids[np.argsort(places)][:kept]
    posts, embedded = await _posts(session, np.unique(records["post"]), limits)
    numbers = np.searchsorted(posts.ids, records["post"].copy())
    read_at = microseconds(now)
    at = np.minimum(records["at"].astype(np.int64), read_at)
    order = np.argsort(at, kind="stable")
    kinds = records["kind"].astype(np.intp) % (len(names) + 1)
    actions = Actions(users[order], numbers[order], kinds[order], at[order])
    return Sample(
        Dataset(
            name,
            _about(share, kept, posts, embedded, lookback),
            posts.ids,
            posts.vectors,
            _created(posts, actions),
            kept,
            (*names, OTHERS),
            actions,
        ),
        ids,
        await _exist(session, ids),
        posts,
        read_at,
        lookback,
        share,
        log,
        embedded,
        await session.value("users", USERS),
        tables,
    )


def _users_within(users: NDArray[np.intp], posts: NDArray[np.void], most: int) -> int:
    """Return how many users, from the first, together acted on at most so many posts; at least 1.

    (a,) each: whose each action is, and on what.
    """
    _, places = np.unique(posts, return_inverse=True)
    first = np.full(places.max() + 1, users.max() + 1)
    np.minimum.at(first, places, users)
    reach = np.cumsum(np.bincount(first, minlength=int(users.max()) + 1))
    return max(1, int(np.searchsorted(reach, most, side="right")))


async def _posts(session: Session, acted_on: NDArray[np.void], limits: Limits) -> tuple[Posts, int]:
    """Read the posts acted on and others, and how many there are in all."""
    embedded = await count_embeddings(session)
    others = await some_posts(session, limits.posts, embedded)
    others = np.setdiff1d(others, acted_on)
    room = max(0, limits.posts - len(acted_on))
    drawn = np.random.default_rng(SEED).permutation(others)[:room]
    return await read_posts(session, np.union1d(acted_on, drawn)), embedded


async def _exist(session: Session, ids: NDArray[np.void]) -> NDArray[np.bool_]:
    packed = await session.value("users", EXISTING, ids.tobytes().hex(",", 16))
    return np.isin(ids, np.frombuffer(packed or b"", "V16"))


def _created(posts: Posts, actions: Actions) -> NDArray[np.int64]:
    """Return when each post came to be, which is no later than the first action on it."""
    first = np.full(len(posts.ids), np.iinfo(np.int64).max)
    np.minimum.at(first, actions.post, actions.at)
    return np.where(posts.created == UNKNOWN, first, np.minimum(first, posts.created))


def _about(share: float, users: int, posts: Posts, embedded: int, lookback: timedelta) -> str:
    """Return what has to be said about how the sample was drawn."""
    read = int((posts.states != State.ABSENT).sum())
    part = (
        f"{users:,} of the users who acted ({share:.1%}, by a hash of their ids)"
        if share < 1
        else "all users who acted"
    )
    candidates = (
        "All posts are ranked."
        if read >= embedded
        else f"Ranked are {read:,} of {embedded:,} posts with an embedding: those the users acted"
        " on, and others by a hash of their ids. So every ranking looks better than it is: what"
        " counts is how they differ."
    )
    return (
        f"Read from a live database: {part} in the last {2 * lookback.days} days, with all they did"
        f" in them. Popularity and the mean are those of what was read. {candidates}"
    )
