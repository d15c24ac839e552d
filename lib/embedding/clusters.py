"""Directions that many vectors share, found from the vectors' cosines alone.

For a stack of u users at once: numpy takes longer to be called than to work on one.
"""

import numpy as np
from numpy.typing import NDArray

CLOSEST = 0.2
"""Two clusters whose directions have this cosine, or a higher one, are the same."""

SMALLEST = 0.1
"""With less of all weight it is no cluster."""

CANCELLED = 0.01
"""Below this share of its parts' length a sum of float32 is rounding noise, not a direction."""

NOTHING = np.float32(1e-30)
"""Added to squares, so that what has no direction is divided by something."""

type Floats = NDArray[np.float32]
type Labels = NDArray[np.intp]


def find_clusters(cosines: Floats, masses: Floats, weights: Floats, limit: int) -> Labels:
    """Return to which cluster, below `limit`, each of a user's n vectors belongs: (u, n).

    `cosines`: (u, n, n) of every vector with every other, 0 for one without a direction; `masses`:
    (u, n) how much of its direction each adds; `weights`: (u, n) what it counts, adding up to 1,
    and 0 for rows that are none, which come last. No two clusters are nearer than CLOSEST, and none
    is smaller than SMALLEST or cancels out, unless it is the only one. Some numbers may be unused.
    """
    labels = _start(cosines, weights, limit)
    belongs = belonging(labels, masses, limit)
    reach = belongs @ cosines
    labels = (reach / _lengths(belongs, reach)[:, :, None]).argmax(axis=1)
    for _ in range(limit - 1):
        labels, settled = _united(cosines, masses, weights, labels, limit)
        if settled:
            break
    return labels


def _start(cosines: Floats, weights: Floats, limit: int) -> Labels:
    """Gather the vectors around the few that together are nearest to all.

    Near are two vectors here that are alike in how near they are to all: their own cosine would
    leave too much to a single odd vector. From there one step of k-means is enough: on 1,920 known
    mixtures a second improved the adjusted Rand index by less than 0.001.
    """
    patterns = cosines / np.sqrt(np.vecdot(cosines, cosines) + NOTHING)[:, :, None]
    alike = patterns @ patterns.mT
    users = np.arange(len(alike))
    near = np.zeros_like(weights)
    seeds = np.empty((len(alike), limit, alike.shape[1]), dtype=np.float32)
    for place in range(limit):
        reached = (np.maximum(alike, near[:, None]) @ weights[:, :, None])[:, :, 0]
        seeds[:, place] = alike[users, reached.argmax(axis=1)]
        near = np.maximum(near, seeds[:, place])
    return seeds.argmax(axis=1)


def _united(
    cosines: Floats, masses: Floats, weights: Floats, labels: Labels, limit: int
) -> tuple[Labels, bool]:
    """Unite each user's two nearest clusters if they are the same, else divide up one that is none.

    Returns the labels, and whether they are what they were.
    """
    users = np.arange(len(labels))
    belongs = belonging(labels, masses, limit)
    reach = belongs @ cosines
    lengths = _lengths(belongs, reach)
    between = reach @ belongs.mT / lengths[:, :, None] / lengths[:, None]
    between[:, range(limit), range(limit)] = -np.inf
    one, other = np.divmod(between.reshape(len(users), -1).argmax(axis=1), limit)
    same = between[users, one, other] >= CLOSEST
    shares = belonging(labels, weights, limit).sum(axis=2)
    used = shares > 0
    shares[np.isinf(lengths)] = 0
    shares[~used] = np.inf
    least = shares.argmin(axis=1)
    none = ~same & (shares[users, least] < SMALLEST) & (used.sum(axis=1) > 1)
    if not (same | none).any():
        return labels, True
    nearest = reach / lengths[:, :, None]
    nearest[~used] = -np.inf
    nearest[users, least] = -np.inf
    united = np.where(same[:, None] & (labels == other[:, None]), one[:, None], labels)
    divided = none[:, None] & (labels == least[:, None])
    return np.where(divided, nearest.argmax(axis=1), united), False


def belonging[Kind: np.floating](
    labels: Labels, amounts: NDArray[Kind], limit: int
) -> NDArray[Kind]:
    """Return the vectors' amounts, (u, n), each in the cluster where it belongs: (u, k, n)."""
    belongs: NDArray[Kind] = (labels[:, None] == np.arange(limit)[:, None]) * amounts[:, None]
    return belongs


def _lengths(belongs: Floats, reach: Floats) -> Floats:
    """How long each cluster's sum is, (u, k); infinite, so that none is near, without one."""
    squares: Floats = np.vecdot(belongs, reach)
    squares[squares <= (CANCELLED * belongs.sum(axis=2)) ** 2] = np.inf
    return np.sqrt(squares)
