"""How alike two vectors are."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lib.errors import EmbeddingError

type Vector = Sequence[float] | NDArray[np.floating]


def calculate_similarity(left: Vector, right: Vector) -> float:
    """Return the cosine of the angle between two vectors, from -1 to 1.

    Raises EmbeddingError where it is not defined: other lengths, a zero or a non-finite vector.
    """
    a, b = np.asarray(left, dtype=np.float64), np.asarray(right, dtype=np.float64)
    if a.ndim != 1 or a.shape != b.shape:
        raise EmbeddingError(f"expected two vectors of one length, got {a.shape} and {b.shape}")
    return float(np.clip(_direction(a) @ _direction(b), -1.0, 1.0))


def _direction(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    largest = np.max(np.abs(vector), initial=0.0)
    if not np.isfinite(largest) or largest == 0:
        raise EmbeddingError("expected finite vectors other than zero")
    scaled = vector / largest  # or squares would overflow, or vanish
    direction: NDArray[np.float64] = scaled / np.linalg.norm(scaled)
    return direction
