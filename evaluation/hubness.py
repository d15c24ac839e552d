"""Whether a few users are everybody's neighbours."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CHUNK = 1000


@dataclass(frozen=True)
class Hubness:
    """How often users are among the k nearest of others.

    `skewness` of these counts: 0 where nobody stands out, large where a few do. `nobodys`: the
    share of users who are nobody's neighbours; `most`: the share of the others who have the most
    common neighbour. Chance gives a skewness of about 1 / sqrt(k), and e^-k for `nobodys`.
    """

    skewness: float
    nobodys: float
    most: float


def hubness(vectors: NDArray[np.float64], k: int) -> Hubness:
    """Count each user's k nearest by cosine: (n, d), of unit length, n above k.

    Of two that are equally near, the one that comes first is nearer.
    """
    users = len(vectors)
    if users <= k:
        raise ValueError(f"expected more than {k} users, got {users}")
    counts = np.zeros(users, np.int64)
    for first in range(0, users, CHUNK):
        near = vectors[first : first + CHUNK] @ vectors.T
        near[np.arange(len(near)), np.arange(first, first + len(near))] = -np.inf
        nearest = np.argsort(-near, axis=1, kind="stable")[:, :k]
        counts += np.bincount(nearest.ravel(), minlength=users)
    spread = counts - counts.mean()
    deviation = float(np.sqrt((spread**2).mean()))
    skewness = float((spread**3).mean() / deviation**3) if deviation else 0.0
    return Hubness(skewness, float((counts == 0).mean()), float(counts.max() / (users - 1)))
