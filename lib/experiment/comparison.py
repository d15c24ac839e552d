"""What an experiment's arms came to: whether they can be compared, and whether they differ."""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from lib.experiment.estimate import Estimate

ALARM = 0.001
"""A sample ratio less likely than this is no accident."""

FEWEST_EXPECTED = 5
"""An arm with fewer users to be expected has no ratio to check."""

FEWEST_USERS = 30
"""An arm with fewer users has no interval: its mean is not near enough to normal."""

ERROR = 0.05


def sample_ratio(counts: NDArray[np.int64], shares: NDArray[np.float64]) -> float | None:
    """Return how likely counts as far from the shares as these are, (k,) each; a chi-square test.

    None where too few users are there to tell.
    """
    expected = shares / shares.sum() * counts.sum()
    if expected.min() < FEWEST_EXPECTED:
        return None
    return chi_square_tail(float(((counts - expected) ** 2 / expected).sum()), len(counts) - 1)


def chi_square_tail(statistic: float, degrees: int) -> float:
    """Return the probability that chi-square with so many degrees of freedom, 1 to 7, exceeds this.

    Exact: Q(1/2, x) = erfc(sqrt x), Q(1, x) = exp(-x), Q(a + 1, x) = Q(a, x) + x^a e^-x / a!.
    """
    half = statistic / 2
    order = 0.5 if degrees % 2 else 1.0
    tail = math.erfc(math.sqrt(half)) if degrees % 2 else math.exp(-half)
    while order < degrees / 2:
        tail += half**order * math.exp(-half) / math.gamma(order + 1)
        order += 1
    return tail


@dataclass(frozen=True)
class Difference(Estimate):
    """By how much an arm's mean exceeds the first arm's, adjusted.

    `unadjusted_margin`: what the margin would have been without that.
    """

    unadjusted_margin: float

    @property
    def variance_reduction(self) -> float:
        """Return which share of the difference's variance the adjustment took off."""
        if not self.unadjusted_margin:
            return 0.0
        return 1 - (self.margin / self.unadjusted_margin) ** 2


@dataclass(frozen=True)
class Comparison:
    """What k arms came to, each array (k,): users, and their means, NaN where there are no users.

    `differences`: the k - 1 of the later arms from the first; None where an arm has too few users.
    """

    users: NDArray[np.int64]
    before: NDArray[np.float64]
    after: NDArray[np.float64]
    differences: tuple[Difference | None, ...]


def compare(
    arm: NDArray[np.intp], before: NDArray[np.float64], after: NDArray[np.float64], arms: int
) -> Comparison:
    """Compare what users did after they got their arm's scheme, each user once.

    `arm`: (n,) from 0 to arms - 1. `before`, `after`: (n,) what each did in as long a time before
    and after. The intervals hold together in 95 % of the cases: with three arms each is wider.
    """
    error = ERROR / (arms - 1)
    quantile = NormalDist().inv_cdf(1 - error / 2)
    users = np.bincount(arm, minlength=arms)
    plain, adjusted = _means(arm, after, arms), _means(arm, adjust(before, after), arms)
    differences: list[Difference | None] = []
    for other in range(1, arms):
        if min(users[0], users[other]) < FEWEST_USERS:
            differences.append(None)
            continue
        differences.append(
            Difference(
                value=float(adjusted.mean[other] - adjusted.mean[0]),
                margin=quantile * math.sqrt(adjusted.variance[other] + adjusted.variance[0]),
                unadjusted_margin=quantile * math.sqrt(plain.variance[other] + plain.variance[0]),
            )
        )
    return Comparison(users, _means(arm, before, arms).mean, plain.mean, tuple(differences))


def adjust(before: NDArray[np.float64], after: NDArray[np.float64]) -> NDArray[np.float64]:
    """Take off what could be foretold, in a straight line, from before: CUPED. (n,), (n,) -> (n,).

    The slope is that of all arms together, so it favours none; what came before cannot depend on
    the arm, so the means still differ by the arms' effect.
    """
    centred = before - before.mean() if len(before) else before
    spread = centred @ centred
    return after - centred * (centred @ after / spread) if spread else after


@dataclass(frozen=True)
class _Means:
    """Each arm's mean, (k,), and the variance of that mean, (k,); NaN where there are no users."""

    mean: NDArray[np.float64]
    variance: NDArray[np.float64]


def _means(arm: NDArray[np.intp], values: NDArray[np.float64], arms: int) -> _Means:
    users = np.bincount(arm, minlength=arms)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.bincount(arm, values, arms) / users
        squares = np.bincount(arm, (values - mean[arm]) ** 2, arms)
        return _Means(mean, squares / (users - 1) / users)
