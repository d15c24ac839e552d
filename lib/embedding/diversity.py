"""Maximal marginal relevance: of posts that are much alike, fewer (Carbonell & Goldstein, 1998)."""

import numpy as np
from numpy.typing import NDArray

type Floats = NDArray[np.float64]


def diversify(scores: Floats, vectors: Floats, number: int, diversity: float) -> NDArray[np.intp]:
    """Return which posts to show, and in which order: (at most `number`,).

    Each is the one of the greatest (1 - diversity) * relevance - diversity * likeness among those
    left, and of equal ones the first. Relevance is the score, scaled so that the posts' go from 0
    to 1; likeness the highest cosine to a post chosen before, 0 for the first. `scores`: (n,);
    `vectors`: (n, d), centred, of any length, zeros being like nothing; `diversity`: from 0, which
    is the order of the scores, to 1.
    """
    if diversity == 0:
        return (-scores).argsort(kind="stable")[:number]
    relevance = scores - scores.min(initial=np.inf)
    relevance /= relevance.max(initial=0.0) or 1.0
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    directions = vectors / np.where(lengths > 0, lengths, 1.0)
    left = (1 - diversity) * relevance
    likeness = np.full(len(scores), -np.inf)
    chosen: list[int] = []
    for _ in range(min(number, len(scores))):
        worth = left - diversity * likeness if chosen else left
        best = int(worth.argmax())
        chosen.append(best)
        left[best] = -np.inf
        np.maximum(likeness, directions @ directions[best], out=likeness)
    return np.array(chosen, dtype=np.intp)
