"""The users' vectors as the real core makes them, and what they score."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluation.dataset import Dataset
from evaluation.ranking import Scores
from evaluation.split import Split, past, standing
from lib.embedding import Histories, PostVectors, Scheme, aggregate
from lib.embedding.aggregate import UserVectors, lengths
from lib.embedding.history import RECORD


@dataclass(frozen=True, eq=False)
class Tastes:
    """One or several directions for each of n users.

    `owners`: (i,) ascending, `vectors`: (i, d), `centres`: (i,) to be taken off a score where a
    user's directions meet. `posts`: (n,) how many posts that draw near count. `made`: (n,) who has
    a direction at all.
    """

    owners: NDArray[np.intp]
    vectors: NDArray[np.float64]
    centres: NDArray[np.float64]
    posts: NDArray[np.int64]
    made: NDArray[np.bool_]


def mean_of(dataset: Dataset, split: Split) -> NDArray[np.float64]:
    """Return the mean vector of the candidates: (d,)."""
    mean: NDArray[np.float64] = dataset.vectors[split.candidates].mean(axis=0, dtype=np.float64)
    return mean


def tastes_of(
    dataset: Dataset, split: Split, scheme: Scheme, users: NDArray[np.intp], *, several: bool
) -> Tastes:
    """Make the vectors of these users of the dataset, (n,), from what they did before their cuts.

    Whoever has a single post gets one. `several`: all the interests that the scheme keeps in place
    of the one vector.
    """
    mean = mean_of(dataset, split) if scheme.centred else None
    packed = pack(dataset, split, scheme, users)
    owners, vectors, centres = [], [], []
    posts, made = np.zeros(len(users), np.int64), np.zeros(len(users), np.bool_)
    for cut in np.unique(split.cuts[users]).tolist():
        mine = np.flatnonzero(split.cuts[users] == cut)
        found = _aggregated(dataset, [packed[user] for user in mine.tolist()], scheme, cut, mean)
        posts[mine], made[mine] = found.posts, found.made
        if several and found.interests is not None:
            whose, rows, centre = (
                found.interests.owners,
                found.interests.vectors,
                found.interests.centres,
            )
        else:
            whose = np.flatnonzero(found.made)
            rows, centre = found.vectors[whose], found.centres[whose]
        owners.append(mine[whose])
        vectors.append(rows.astype(np.float64))
        centres.append(centre)
    order = np.argsort(np.concatenate(owners), kind="stable")
    return Tastes(
        np.concatenate(owners)[order],
        np.concatenate(vectors)[order],
        np.concatenate(centres)[order],
        posts,
        made,
    )


def scores(dataset: Dataset, tastes: Tastes) -> Scores:
    """Score a post for a user by the nearest of the user's directions: max of u . e_p - u . m.

    A user without a direction scores 0 throughout.
    """
    directions = dataset.vectors.astype(np.float64).T

    def score(first: int, last: int) -> NDArray[np.float64]:
        lower, upper = np.searchsorted(tastes.owners, [first, last])
        near = tastes.vectors[lower:upper] @ directions - tastes.centres[lower:upper, None]
        users, starts = np.unique(tastes.owners[lower:upper], return_index=True)
        found = np.zeros((last - first, directions.shape[1]))
        if len(users):
            found[users - first] = np.maximum.reduceat(near, starts, axis=0)
        return found

    return score


def pack(dataset: Dataset, split: Split, scheme: Scheme, users: NDArray[np.intp]) -> list[bytes]:
    """Return each user's standing actions before the cut, as the core reads them."""
    known = past(dataset, split)
    places = np.full(len(dataset.types), -1)
    for place, name in enumerate(scheme.actions):
        places[dataset.places(name)] = place
    chosen = standing(dataset, known) & (places[dataset.actions.kind] >= 0)
    actions = dataset.actions[np.flatnonzero(chosen)]
    actions = actions[np.argsort(actions.user, kind="stable")]
    records = np.empty(len(actions.user), RECORD)
    records["post"] = dataset.posts[actions.post]
    records["place"] = places[actions.kind]
    records["amount"] = 1.0
    records["acted_at"] = actions.at
    starts, ends = np.searchsorted(actions.user, [users, users + 1])
    return [
        records[start:end].tobytes()
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True)
    ]


def _aggregated(
    dataset: Dataset,
    packed: list[bytes],
    scheme: Scheme,
    read_at: int,
    mean: NDArray[np.float64] | None,
) -> UserVectors:
    histories = Histories.unpack(packed, scheme, read_at)
    rows = np.searchsorted(dataset.posts, histories.distinct_posts)
    posts = PostVectors(rows, dataset.vectors, lengths(dataset.vectors[rows]))
    return aggregate(histories, posts, scheme, np.ones(len(packed), np.int64), mean)
