"""Popularity as one number a post, whose order stays right as time passes."""

from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)

type Floats = NDArray[np.float64]


def cold(time: datetime, half_life: float) -> float:
    """Return the heat of a post that is as popular, at this time, as one action of weight 1.

    The heat of a post is log2 of the sum over its actions of weight * 2^(t / half-life), t in days
    since 2000: so large a sum has no float of its own, its logarithm has.
    """
    return (time - EPOCH) / DAY / half_life


def weights_at(heats: Floats, time: datetime, half_life: float) -> Floats:
    """Return the summed weights that heats, (n,), come to at a time: (n,), 0 for -inf.

    Of actions that fade by the half-life, in days, as the heats were made with.
    """
    return np.exp2(heats - cold(time, half_life))
