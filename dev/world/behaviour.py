"""How made-up users behave: columns of numbers, drawn from known tastes."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

type Ints = NDArray[np.int64]

MINUTE = 60_000_000  # ages are microseconds before now
DAY = 24 * 60 * MINUTE
HISTORY = 60 * DAY
SILENCE = 21 * DAY
POSTED_WITHIN = 150 * DAY

HOW_MANY_TASTES = (0.4, 0.4, 0.2)
SHARES = np.array([(1.0, 0.0, 0.0), (0.65, 0.35, 0.0), (0.55, 0.3, 0.15)])
STRAYING = 0.12  # of the visits lead to a topic the user does not care for

NEVER_ACT, BARELY_ACT, FALL_SILENT, ARE_BUSY = 0.04, 0.06, 0.1, 0.005  # shares of the users

TYPES = (
    "like_post",
    "comment_post",
    "bookmark_post",
    "share_post",
    "dislike_post",
    "hide_post",
    "report_post",  # a type that nobody told the aggregation about
    "view_post",
    "unlike_post",
    "unbookmark_post",
)
VIEW = TYPES.index("view_post")
RETRACTION = {
    TYPES.index("like_post"): TYPES.index("unlike_post"),
    TYPES.index("bookmark_post"): TYPES.index("unbookmark_post"),
}
RETRACTED = 0.02
# how likely a visit ends in each of the first types: to a topic the user likes, and to any other
REACTIONS = np.array(
    [
        (0.22, 0.06, 0.07, 0.04, 0.004, 0.006, 0.001),
        (0.06, 0.02, 0.01, 0.01, 0.050, 0.080, 0.004),
    ]
)


@dataclass(frozen=True, eq=False)
class Log:
    """Actions as columns of one length: number of the user, the post and the type, and age."""

    user: Ints
    post: Ints
    kind: Ints
    age: Ints

    def __getitem__(self, rows: Any) -> Self:
        return type(self)(self.user[rows], self.post[rows], self.kind[rows], self.age[rows])


def draw_post_ages(rng: Generator, topic_of: Ints) -> Ints:
    """Spread every topic's posts evenly, so that each has some at any time."""
    ages = np.empty(len(topic_of), np.int64)
    for topic in np.unique(topic_of):
        members = rng.permutation(np.flatnonzero(topic_of == topic))
        places = np.arange(len(members)) + rng.random(len(members))
        ages[members] = places * POSTED_WITHIN / len(members)
    return ages


def draw_visits(
    rng: Generator, liked: Ints, preferences: Ints, topic_of: Ints, post_age: Ints
) -> tuple[Log, NDArray[np.bool_]]:
    """Draw who looked at what and when, and whether that was off the user's tastes.

    `liked` (users,) is how many topics each likes: the first so many of its row of `preferences`
    (users, topics). Nobody sees a post before it is there.
    """
    counts, youngest = _draw_habits(rng, len(liked))
    user = np.repeat(np.arange(len(liked)), counts)
    age = rng.integers(youngest[user], HISTORY)

    astray = rng.random(len(user)) < STRAYING
    taste = (rng.random((len(user), 1)) >= SHARES.cumsum(axis=1)[liked[user] - 1]).sum(axis=1)
    other = rng.integers(liked[user], preferences.shape[1])
    topic = preferences[user, np.where(astray, other, taste)]

    popularity = rng.lognormal(sigma=0.6, size=len(topic_of))
    post = np.empty_like(user)
    for number in range(preferences.shape[1]):
        rows = np.flatnonzero(topic == number)
        members = np.flatnonzero(topic_of == number)
        members = members[np.argsort(-post_age[members])]
        reach = np.append(0.0, popularity[members].cumsum())
        posted = np.searchsorted(-post_age[members], -age[rows])
        drawn = rng.random(len(rows)) * reach[posted]
        post[rows] = members[np.searchsorted(reach[1:], drawn, side="right")]
    return Log(user, post, np.full_like(user, VIEW), age), astray


def _draw_habits(rng: Generator, users: int) -> tuple[Ints, Ints]:
    """Draw each user's number of visits, and the age that the youngest may have."""
    counts = np.ceil(rng.lognormal(np.log(17), 1.0, users)).clip(max=250).astype(np.int64)
    youngest = np.full(users, 10 * MINUTE)
    never, barely, silent, busy, _ = np.split(
        rng.permutation(users),
        np.cumsum(np.array([NEVER_ACT, BARELY_ACT, FALL_SILENT, ARE_BUSY]) * users).astype(int),
    )
    counts[never] = 0
    counts[barely] = rng.integers(1, 3, len(barely))
    youngest[silent] = SILENCE
    counts[busy] = rng.integers(400, 801, len(busy))
    return counts, youngest


def draw_reactions(rng: Generator, visits: Log, astray: NDArray[np.bool_]) -> Log:
    """Draw what followed a visit within minutes; nobody does the same thing to a post twice."""
    bounds = REACTIONS.cumsum(axis=1)[astray.astype(int)]
    kind = (rng.random((len(astray), 1)) >= bounds).sum(axis=1)
    age = visits.age - rng.integers(MINUTE // 12, 5 * MINUTE, len(kind))
    reacted = Log(visits.user, visits.post, kind, age)[kind < REACTIONS.shape[1]]
    _, first = np.unique(
        np.stack([reacted.user, reacted.post, reacted.kind]), axis=1, return_index=True
    )
    return reacted[first]


def draw_retractions(rng: Generator, reactions: Log) -> Log:
    """Draw who later took back a like or a bookmark."""
    retractable = np.isin(reactions.kind, list(RETRACTION))
    meant = reactions[retractable & (rng.random(len(reactions.user)) < RETRACTED)]
    kind = np.array([RETRACTION[kind] for kind in meant.kind.tolist()], np.int64)
    return Log(meant.user, meant.post, kind, rng.integers(0, meant.age))


def in_order(*logs: Log) -> Log:
    """Put several logs together, oldest action first."""
    whole = Log(
        np.concatenate([log.user for log in logs]),
        np.concatenate([log.post for log in logs]),
        np.concatenate([log.kind for log in logs]),
        np.concatenate([log.age for log in logs]),
    )
    return whole[np.argsort(-whole.age, kind="stable")]
