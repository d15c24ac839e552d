"""How good rankings are: a figure for each user."""

import numpy as np
from numpy.typing import NDArray

from evaluation.ranking import Ranking


def recall(ranking: Ranking, depth: int) -> NDArray[np.float64]:
    """Which share of what was to be found stands among the first `depth`: (n,), 0 to 1."""
    users = len(ranking.lists)
    hits = np.bincount(ranking.owners[ranking.ranks <= depth], minlength=users)
    shares: NDArray[np.float64] = hits / np.bincount(ranking.owners, minlength=users)
    return shares


def ndcg(ranking: Ranking, depth: int) -> NDArray[np.float64]:
    """Sum 1 / log2(1 + rank) over what was found, as a share of the best possible: (n,), 0 to 1."""
    users = len(ranking.lists)
    gains = np.where(ranking.ranks <= depth, 1 / np.log2(1 + ranking.ranks), 0.0)
    best = np.cumsum(1 / np.log2(1 + np.arange(1, depth + 1)))
    wanted = np.bincount(ranking.owners, minlength=users)
    shares: NDArray[np.float64] = (
        np.bincount(ranking.owners, gains, users) / best[np.minimum(wanted, depth) - 1]
    )
    return shares


def reciprocal_rank(ranking: Ranking) -> NDArray[np.float64]:
    """Return 1 / rank of the first that was found: (n,), above 0, up to 1."""
    best = np.zeros(len(ranking.lists))
    np.maximum.at(best, ranking.owners, 1 / ranking.ranks)
    return best


def coverage(lists: NDArray[np.intp], candidates: int) -> float:
    """Which share of the candidates stands in anybody's list: (n, LISTED) -> 0 to 1."""
    listed = np.unique(lists)
    return float(np.count_nonzero(listed >= 0) / candidates)


def diversity(ranking: Ranking, directions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 1 less the mean cosine of two different posts of a list: (n,), 0 to 2.

    `directions`: (p, d), of unit length. A list of fewer than two posts has 0.
    """
    found = np.zeros(len(ranking.lists))
    for user, row in enumerate(ranking.lists):
        listed = directions[row[row >= 0]]
        pairs = len(listed) * (len(listed) - 1)
        if pairs:
            total = listed.sum(axis=0)
            found[user] = 1 - (total @ total - np.einsum("ld,ld->", listed, listed)) / pairs
    return found
