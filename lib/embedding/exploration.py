"""Positions that are given at random, so that one may learn what was never ranked high."""

import hashlib
from dataclasses import dataclass
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

BITS = 53
"""Of a fraction: with more, one might be rounded up to 1."""


@dataclass(frozen=True)
class Slots:
    """What m positions got, from the first.

    `posts`: (m,) which of the candidates; `propensities`: (m,) above 0 of a position that was given
    at random, else 0.
    """

    posts: NDArray[np.intp]
    propensities: NDArray[np.float64]


def explore(order: NDArray[np.intp], candidates: int, share: float, seed: UUID) -> Slots:
    """Fill as many positions as `order` is long, each with probability `share` at random.

    Position by position, from the first: with that probability any candidate that no position
    before got, each with the same probability; else the first in `order` that none got. So with r
    of them left, a position's propensity is share / r: the probability, given what the positions
    before it got, that it is drawn for and gets this post. `order`: (m,) of 0 to `candidates` - 1,
    each once. The same seed draws the same.
    """
    if share == 0:
        return Slots(order, np.zeros(len(order)))
    ranked = iter(order.tolist())
    free = list(range(candidates))
    shown: set[int] = set()
    posts: list[int] = []
    propensities: list[float] = []
    for position in range(len(order)):
        coin, which = _draw(seed, position)
        if coin < share:
            post = free[int(which * len(free))]
            propensities.append(share / len(free))
        else:
            post = next(one for one in ranked if one not in shown)
            propensities.append(0.0)
        free.remove(post)
        shown.add(post)
        posts.append(post)
    return Slots(np.array(posts, dtype=np.intp), np.array(propensities))


def _draw(seed: UUID, position: int) -> tuple[float, float]:
    """Return two numbers from 0 to below 1, independent of each other and of other positions'."""
    digest = hashlib.sha256(seed.bytes + position.to_bytes(4)).digest()
    return (_fraction(digest[:8]), _fraction(digest[8:16]))


def _fraction(word: bytes) -> float:
    return float(int.from_bytes(word) >> 64 - BITS) / float(1 << BITS)
