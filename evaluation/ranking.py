"""Scores in, the places of the posts to be found out."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluation.split import Split

LISTED = 10
CELLS = 4_000_000  # scores looked at together, so that memory is bounded

type Scores = Callable[[int, int], NDArray[np.float64]]
"""The scores of all posts for the users `first` to `last` of a split: (last - first, p)."""


@dataclass(frozen=True, eq=False)
class Ranking:
    """Where the full ranking of all candidates not seen before puts what was to be found.

    `owners`: (t,) places of users, ascending, `ranks`: (t,) from 1. `lists`: (n, LISTED) the posts
    ranked first, -1 where there are no more candidates.
    """

    owners: NDArray[np.intp]
    ranks: NDArray[np.int64]
    lists: NDArray[np.intp]


def rank(split: Split, scores: Scores) -> Ranking:
    """Rank every user's posts by score; of equal scores the post with the lower id comes first."""
    owners, ranks, lists = [], [], []
    step = max(1, CELLS // len(split.candidates))
    for first in range(0, len(split.users), step):
        last = min(first + step, len(split.users))
        found = scores(first, last)
        if not np.isfinite(found).all():
            raise ValueError("expected finite scores")
        allowed = split.candidates & ~split.mask(split.seen, first, last)
        order = np.argsort(np.where(allowed, -found, np.inf), axis=1, kind="stable")
        places = np.empty_like(order)
        np.put_along_axis(places, order, np.arange(order.shape[1])[None, :], axis=1)
        users, posts = np.nonzero(split.mask(split.relevant, first, last))
        owners.append(users + first)
        ranks.append(places[users, posts] + 1)
        top = order[:, :LISTED]
        lists.append(np.where(np.take_along_axis(allowed, top, axis=1), top, -1))
    return Ranking(np.concatenate(owners), np.concatenate(ranks), np.concatenate(lists))
