"""How sure a mean is, by drawing users again and again."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

RESAMPLES = 10_000
CELLS = 4_000_000  # drawn at a time, so that memory is bounded


@dataclass(frozen=True)
class Interval:
    """A mean and the 95 % of it that resampling leaves."""

    mean: float
    lower: float
    upper: float


def bootstrap(values: NDArray[np.float64], owners: NDArray[np.intp], rng: Generator) -> Interval:
    """Resample whole users, each with all that is theirs: values (c,) of users `owners` (c,).

    The interval holds 95 % of RESAMPLES means. For a paired comparison give it the differences.
    Raises ValueError where there is no value.
    """
    if not len(values):
        raise ValueError("expected the values of one user at least, got none")
    _, places = np.unique(owners, return_inverse=True)
    sums, counts = np.bincount(places, values), np.bincount(places)
    users, means = len(sums), np.empty(RESAMPLES)
    step = max(1, CELLS // users)
    for first in range(0, RESAMPLES, step):
        size = min(step, RESAMPLES - first)
        drawn = rng.integers(users, size=(size, users)) + users * np.arange(size)[:, None]
        times = np.bincount(drawn.ravel(), minlength=size * users).reshape(size, users)
        means[first : first + size] = (times @ sums) / (times @ counts)
    lower, upper = np.quantile(means, [0.025, 0.975])
    return Interval(float(values.mean()), float(lower), float(upper))
