"""Posts and tastes on a plane, so that a person sees what lies near what."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

AXES = 2


@dataclass(frozen=True)
class Projection:
    """`posts`: (n, 2), `tastes`: (k, 2), each within the unit circle about the posts' mean.

    `spread`: the share of the posts' spread that the plane shows, from 0 to 1.
    """

    posts: NDArray[np.float64]
    tastes: NDArray[np.float64]
    spread: float


def project(
    posts: NDArray[np.floating], tastes: NDArray[np.floating], mean: NDArray[np.float64] | None
) -> Projection:
    """Lay directions on the plane that shows most of the posts' spread.

    `posts`: (n, d); `tastes`: (k, d); `mean`: (d,), what was taken off the tastes, and else None:
    then the posts' own is taken off both. The plane is that of the principal components (Pearson,
    1901) of the posts' directions from there; the same for the same posts, in any order but for
    rounding.
    """
    vectors = posts.astype(np.float64)
    centre = vectors.mean(axis=0) if mean is None and len(vectors) else mean
    directions = _unit(vectors if centre is None else vectors - centre)
    own = tastes.astype(np.float64)
    wishes = _unit(own - centre if mean is None and centre is not None else own)
    if not len(directions):
        return Projection(np.zeros((0, AXES)), np.zeros((len(own), AXES)), 0.0)
    _, lengths, axes = np.linalg.svd(directions, full_matrices=False)
    plane = np.zeros((AXES, directions.shape[1]))
    plane[: len(axes[:AXES])] = axes[:AXES]
    # an axis may point either way: the way of its greatest part
    plane *= np.sign(plane[np.arange(AXES), np.abs(plane).argmax(axis=1)])[:, None]
    squares = lengths**2
    spread = float(squares[:AXES].sum() / squares.sum()) if squares.sum() else 0.0
    return Projection(directions @ plane.T, wishes @ plane.T, spread)


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1.0)
