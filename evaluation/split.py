"""Where users' past ends and what they did later begins."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from evaluation.dataset import Dataset
from lib.embedding import BASELINE, RETRACTIONS

DAY = 86_400_000_000
"""In microseconds."""


@dataclass(frozen=True, eq=False)
class Split:
    """Some users at a cut: their past, and what they turned to afterwards.

    `cuts`: (u,) the time of each of the dataset's users from which on nothing is known.
    `candidates`: (p,) the posts that can be ranked. `users`: (n,) numbers of those who have both a
    past and a post to be found. `seen` and `relevant`: pairs of a user's place among these n and a
    post's number, as the ascending key `place * p + number`.
    """

    name: str
    cuts: NDArray[np.int64]
    candidates: NDArray[np.bool_]
    users: NDArray[np.intp]
    seen: NDArray[np.int64]
    relevant: NDArray[np.int64]

    def where(self, chosen: NDArray[np.bool_]) -> Self:
        """Return the split of some of its users: (n,)."""
        width, places = len(self.candidates), np.cumsum(chosen) - 1

        def rekeyed(pairs: NDArray[np.int64]) -> NDArray[np.int64]:
            pairs = pairs[chosen[pairs // width]]
            keys: NDArray[np.int64] = places[pairs // width] * width + pairs % width
            return keys

        users, seen, relevant = self.users[chosen], rekeyed(self.seen), rekeyed(self.relevant)
        return replace(self, users=users, seen=seen, relevant=relevant)

    def mask(self, pairs: NDArray[np.int64], first: int, last: int) -> NDArray[np.bool_]:
        """Return which posts the pairs name for the users `first` to `last`: (last - first, p)."""
        width = len(self.candidates)
        found = np.zeros((last - first) * width, np.bool_)
        lower, upper = np.searchsorted(pairs, [first * width, last * width])
        found[pairs[lower:upper] - first * width] = True
        return found.reshape(last - first, width)


def at_share(dataset: Dataset, share: float) -> Split:
    """Cut all users at one time: the last midnight (UTC) before that `share` of the actions.

    A midnight, because some logs know only the day of an action and date it to its beginning.
    Candidates are the posts that existed then.
    """
    cut = midnight(dataset, share)
    day = np.datetime64("2000-01-01", "D") + np.timedelta64(cut // DAY, "D")
    cuts = np.full(dataset.users, cut)
    return _split(dataset, f"{share:.0%} ({day})", cuts, dataset.created < cut)


def at_time(dataset: Dataset, cut: int) -> Split:
    """Cut all users at one time, in microseconds since 2000.

    Other than at_share, whoever has a post to be found is in it, with or without a past.
    """
    day = np.datetime64("2000-01-01", "D") + np.timedelta64(cut // DAY, "D")
    cuts = np.full(dataset.users, cut)
    candidates = _candidates(dataset, dataset.created < cut)
    known, new = _pairs(dataset, cuts, candidates)
    users = np.unique(new // len(dataset.posts)).astype(np.intp)
    seen, relevant = (_renumber(pairs, users, len(dataset.posts)) for pairs in (known, new))
    return Split(str(day), cuts, candidates, users, seen, relevant)


def midnight(dataset: Dataset, share: float) -> int:
    """Return the last midnight (UTC) before that `share` of the actions."""
    at = dataset.actions.at
    return int(at[int(share * len(at))]) // DAY * DAY


def user_by_user(dataset: Dataset, share: float) -> Split:
    """Cut each user where that `share` of the user's own actions is past.

    This leaks: every post is a candidate, and what is fitted knows what other users did later.
    """
    actions = dataset.actions
    order = np.argsort(actions.user, kind="stable")
    counts = np.bincount(actions.user, minlength=dataset.users)
    first = np.cumsum(counts) - counts
    active = counts > 0
    cuts = np.zeros(dataset.users, np.int64)
    middle = first[active] + (share * counts[active]).astype(np.int64)
    cuts[active] = actions.at[order[middle]]
    return _split(dataset, f"{share:.0%} of each user", cuts, np.ones(len(dataset.posts), np.bool_))


def past(dataset: Dataset, split: Split) -> NDArray[np.bool_]:
    """Which actions happened before their users' cuts: (a,)."""
    return dataset.actions.at < split.cuts[dataset.actions.user]


def standing(dataset: Dataset, known: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which of the known actions no later known one takes back: (a,) -> (a,)."""
    actions, kept = dataset.actions, known.copy()
    pairs = actions.user * len(dataset.posts) + actions.post
    keys, places = np.unique(pairs, return_inverse=True)
    for undoing, undone in RETRACTIONS.items():
        retracting = np.flatnonzero(known & np.isin(actions.kind, dataset.places(undoing)))
        latest = np.full(len(keys), -1)
        np.maximum.at(latest, places[retracting], retracting)
        retractable = np.isin(actions.kind, dataset.places(undone))
        kept &= ~(retractable & (np.arange(len(pairs)) < latest[places]))
    return kept


def positive(dataset: Dataset) -> NDArray[np.bool_]:
    """Which actions are of a type that the specification gives weight: (a,)."""
    return np.isin(dataset.actions.kind, dataset.places(*BASELINE.weights))


def _split(
    dataset: Dataset, name: str, cuts: NDArray[np.int64], existing: NDArray[np.bool_]
) -> Split:
    candidates = _candidates(dataset, existing)
    known = dataset.actions.at < cuts[dataset.actions.user]
    before = positive(dataset) & standing(dataset, known) & candidates[dataset.actions.post]
    known_pairs, new = _pairs(dataset, cuts, candidates)
    users = np.intersect1d(dataset.actions.user[before], new // len(dataset.posts))
    seen, relevant = (_renumber(pairs, users, len(dataset.posts)) for pairs in (known_pairs, new))
    return Split(name, cuts, candidates, users, seen, relevant)


def _candidates(dataset: Dataset, existing: NDArray[np.bool_]) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = existing & dataset.vectors.any(axis=1)
    return found


def _pairs(
    dataset: Dataset, cuts: NDArray[np.int64], candidates: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return what all users had seen, and what there is to be found: as `user * p + post`."""
    actions, width = dataset.actions, len(dataset.posts)
    known = actions.at < cuts[actions.user]
    standing_at_last = standing(dataset, np.ones_like(known))
    after = ~known & positive(dataset) & standing_at_last & candidates[actions.post]
    pairs = actions.user.astype(np.int64) * width + actions.post
    return np.unique(pairs[known]), np.setdiff1d(pairs[after], pairs[known])


def _renumber(pairs: NDArray[np.int64], users: NDArray[np.intp], width: int) -> NDArray[np.int64]:
    """Key the pairs of the users by their places, and leave out all others'."""
    pairs = pairs[np.isin(pairs // width, users)]
    renumbered: NDArray[np.int64] = np.searchsorted(users, pairs // width) * width + pairs % width
    return renumbered
