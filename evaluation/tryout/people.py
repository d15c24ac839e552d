"""Who would get a vector, and why others would not."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from evaluation.live import Sample
from evaluation.live.posts import State
from evaluation.split import Split
from evaluation.tastes import pack
from lib.embedding import BASELINE, Histories, PostVectors, aggregate
from lib.embedding.aggregate import lengths
from lib.store.actions import MICROSECOND

ENOUGH = 3
"""MIN_INTERACTIONS, unless it is set."""

MINIMA = (1, ENOUGH, 5)
INTERVAL = 7_200_000_000
"""Between two runs, in microseconds."""

REASONS = {
    State.ABSENT: "posts without an embedding",
    State.OTHER_MODEL: "posts embedded by another model",
    State.ODD: "posts with an odd vector",
}


@dataclass(frozen=True)
class People:
    """The users of a sample who acted within the lookback, as a first run would find them now.

    `getting`: how many would get a vector, for each of MINIMA. `reasons`: how many would not, with
    ENOUGH as the minimum, by why. In an average run: `active` users, of whom `made` would get a
    vector, each with `actions` within the lookback. `active` and `made` are the sample's too.
    """

    users: int
    getting: Mapping[int, int]
    reasons: Mapping[str, int]
    active: float
    made: float
    actions: float


def people(sample: Sample) -> People:
    """Make the baseline's vectors of the sample as they would be now."""
    recent = sample.dataset.actions.at >= sample.read_at - sample.lookback // MICROSECOND
    data = replace(sample.dataset, actions=sample.dataset.actions[recent])
    users = np.unique(data.actions.user)
    now = np.full(data.users, sample.read_at + 1)
    nobody = np.empty(0, np.int64)
    split = Split("now", now, np.ones(len(data.posts), np.bool_), users, nobody, nobody)
    histories = Histories.unpack(pack(data, split, BASELINE, users), BASELINE, sample.read_at)
    rows = np.searchsorted(data.posts, histories.distinct_posts)
    vectors = PostVectors(rows, data.vectors, lengths(data.vectors[rows]))
    made = aggregate(histories, vectors, BASELINE, np.ones(len(users), np.int64), None)
    exist = sample.exist[users]
    getting = {least: made.made & exist & (made.posts >= least) for least in MINIMA}
    states = sample.posts.states[rows[histories.places]]
    lost = np.stack([histories.count_by_user(states == state) for state in REASONS])
    windows, active = _windows(sample, data.actions.at, data.actions.user, users)
    done = np.bincount(np.searchsorted(users, data.actions.user), minlength=len(users))
    return People(
        len(users),
        {least: int(who.sum()) for least, who in getting.items()},
        _reasons(~getting[ENOUGH], exist, made.posts, lost),
        active.sum() / windows,
        active[getting[ENOUGH]].sum() / windows,
        float(active @ done / max(1, int(active.sum()))),
    )


def _windows(
    sample: Sample,
    at: NDArray[np.int64],
    whose: NDArray[np.intp],
    users: NDArray[np.intp],
) -> tuple[int, NDArray[np.int64]]:
    """Return how many intervals there were, and in how many each user acted: (n,)."""
    ages = (sample.read_at - at) // INTERVAL
    windows = int(ages.max(initial=0)) + 1
    pairs = np.unique(np.searchsorted(users, whose) * windows + ages)
    return windows, np.bincount(pairs // windows, minlength=len(users))


def _reasons(
    without: NDArray[np.bool_],
    exist: NDArray[np.bool_],
    counting: NDArray[np.int64],
    lost: NDArray[np.int64],
) -> Mapping[str, int]:
    """Tell why these users get no vector: (n,) each, lost (len(REASONS), n)."""
    few = counting + lost.sum(axis=0) < ENOUGH
    commonest = lost.argmax(axis=0)
    found = {
        "not in users": without & ~exist,
        f"acted on fewer than {ENOUGH} posts": without & exist & few,
    }
    rest = without & exist & ~few
    for place, reason in enumerate(REASONS.values()):
        found[reason] = rest & (counting < ENOUGH) & (commonest == place)
    found["posts that cancel each other out"] = rest & (counting >= ENOUGH)
    return {reason: int(who.sum()) for reason, who in found.items() if who.any()}
