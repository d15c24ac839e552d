"""Histories and post embeddings in, one interest vector a user out."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lib.embedding.history import Histories
from lib.errors import EmbeddingError

CANCELLED = 1e-9
"""Below this share of its parts' length a sum is rounding noise, not a direction."""

CHUNK = 1024
"""So many embeddings are gathered at a time: what a processor's cache holds."""


@dataclass(frozen=True)
class Interests:
    """What became of n users' histories.

    `vectors`: (n, d) float32, unit length where `made`, else zeros. `posts`: (n,) posts that count,
    `weights`: (n,) their summed weight. `made`: (n,) whether there is a vector; where not, the user
    has too few posts (`posts` < the minimum) or they cancel each other out.
    """

    vectors: NDArray[np.float32]
    made: NDArray[np.bool_]
    posts: NDArray[np.int64]
    weights: NDArray[np.float64]


def lengths(embeddings: NDArray[np.float32]) -> NDArray[np.float64]:
    """How long each row is; 0 for what is no direction: zeros, or not finite. (p, d) -> (p,)."""
    with np.errstate(over="ignore", invalid="ignore"):
        squares = np.einsum("pd,pd->p", embeddings, embeddings, dtype=np.float64)
    return np.sqrt(np.where(np.isfinite(squares), squares, 0.0))


class Sums:
    """The weighted sums of n users' posts, which may come in any number of blocks."""

    def __init__(self, users: int, dimensions: int) -> None:
        self._totals = np.zeros((users, dimensions))
        self._sizes = np.zeros(users)
        self._posts = np.zeros(users, dtype=np.int64)
        self._weights = np.zeros(users)

    def add(
        self,
        histories: Histories,
        start: int,
        rows: NDArray[np.intp],
        vectors: NDArray[np.float32],
        sizes: NDArray[np.float64],
    ) -> None:
        """Add b of the distinct posts, those from `start` on.

        `rows`: (b,) where among `vectors`, (r, d), each post's embedding stands; `sizes`: (b,) its
        length, 0 for a post that does not count, whose row is not looked at.
        """
        places = histories.places - start
        inside = np.flatnonzero((places >= 0) & (places < len(rows)))
        inside = inside[sizes[places[inside]] != 0]
        places, weights, owners = (
            places[inside],
            histories.weights[inside],
            histories.owners[inside],
        )
        users = len(self._totals)
        self._posts += np.bincount(owners[weights > 0], minlength=users)
        self._weights += np.bincount(owners, weights, users)
        self._sizes += np.bincount(owners, np.abs(weights) * sizes[places], users)
        places = rows[places]
        bounds = np.searchsorted(owners, np.arange(users + 1)).tolist()
        buffer = np.empty((CHUNK, vectors.shape[1]), dtype=np.float32)
        for user in range(users):
            for first in range(bounds[user], bounds[user + 1], CHUNK):
                chunk = slice(first, min(first + CHUNK, bounds[user + 1]))
                # `mode` lets it write to `out` without a copy; no place is out of bounds
                parts = vectors.take(
                    places[chunk], axis=0, out=buffer[: chunk.stop - first], mode="clip"
                )
                self._totals[user] += np.einsum("p,pd->d", weights[chunk], parts)

    def interests(self, minimum: NDArray[np.int64]) -> Interests:
        """Normalise what was added: `u = normalise(sum_p w_p e_p)`.

        `minimum`: (n,) how many posts of positive weight a user's vector takes. Raises
        EmbeddingError where a sum is not finite.
        """
        enough = (self._posts >= minimum) & (self._posts > 0)
        norms = np.linalg.norm(self._totals, axis=1)
        if not np.isfinite(norms[enough]).all():
            found = norms[enough][~np.isfinite(norms[enough])][0]
            raise EmbeddingError(f"expected a finite sum, got one of length {found}")
        made = enough & (norms > CANCELLED * self._sizes)
        vectors = np.zeros(self._totals.shape, dtype=np.float32)
        vectors[made] = self._totals[made] / norms[made, None]
        return Interests(vectors, made, self._posts, self._weights)
