"""Of what users were shown, which share they acted on: by arm, with intervals over users."""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from lib.experiment.comparison import ERROR, FEWEST_USERS
from lib.experiment.estimate import Estimate

FEWEST_ACTING = 5
"""An arm in which fewer users acted has no interval: its share is not near enough to normal."""


@dataclass(frozen=True)
class Shares:
    """What k arms came to, (k,) each: users who were shown anything, posts, and those acted on.

    `shares`: of each arm; `differences`: of the k - 1 later arms from the first. None where an arm
    has too few users.
    """

    users: NDArray[np.int64]
    shown: NDArray[np.int64]
    acted: NDArray[np.int64]
    shares: tuple[Estimate | None, ...]
    differences: tuple[Estimate | None, ...]


def compare_shares(
    arm: NDArray[np.intp], shown: NDArray[np.int64], acted: NDArray[np.int64], arms: int
) -> Shares:
    """Compare which share of what they were shown users acted on, each user once.

    `arm`: (n,) from 0 to arms - 1. `shown`, `acted`: (n,) how many posts each was shown, and acted
    on. The differences' intervals hold together in 95 % of the cases, each arm's own by itself.
    """
    parts = [(shown[arm == one], acted[arm == one]) for one in range(arms)]
    found = [_ratio(*part) for part in parts]
    alone, together = _quantile(ERROR), _quantile(ERROR / (arms - 1))
    first = found[0]
    return Shares(
        users=np.array([np.count_nonzero(seen) for seen, _ in parts], dtype=np.int64),
        shown=np.array([seen.sum() for seen, _ in parts], dtype=np.int64),
        acted=np.array([done.sum() for _, done in parts], dtype=np.int64),
        shares=tuple(
            Estimate(one.value, alone * math.sqrt(one.variance)) if one else None for one in found
        ),
        differences=tuple(
            Estimate(
                other.value - first.value, together * math.sqrt(other.variance + first.variance)
            )
            if first and other
            else None
            for other in found[1:]
        ),
    )


@dataclass(frozen=True)
class _Ratio:
    value: float
    variance: float


def _ratio(shown: NDArray[np.int64], acted: NDArray[np.int64]) -> _Ratio | None:
    """Return the share of all that was shown, and its variance where users are drawn, not posts.

    By the delta method: with n users and the share r, n / (n - 1) times the sum of (acted - r *
    shown)^2, over the square of all that was shown.
    """
    users = np.count_nonzero(shown)
    if users < FEWEST_USERS or np.count_nonzero(acted) < FEWEST_ACTING:
        return None
    total = float(shown.sum())
    share = float(acted.sum()) / total
    left = acted - share * shown
    return _Ratio(share, float(left @ left) * users / (users - 1) / total**2)


def _quantile(error: float) -> float:
    return NormalDist().inv_cdf(1 - error / 2)
