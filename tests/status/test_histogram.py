import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.status.histogram import Histogram

BOUNDS = (1.0, 2.0, 4.0)


def of(values: list[float]) -> Histogram:
    places = np.searchsorted(BOUNDS, values, side="left")
    counts = tuple(int(n) for n in np.bincount(places, minlength=len(BOUNDS) + 1))
    return Histogram(BOUNDS, counts, sum(values))


@given(st.lists(st.floats(0, 8), min_size=1), st.floats(0.01, 1))
def test_quantile_is_in_the_bucket_of_the_value_that_has_so_many_below(
    values: list[float], share: float
):
    value = sorted(values)[int(np.ceil(share * len(values))) - 1]
    found = of(values).quantile(share)
    low = max((bound for bound in (0.0, *BOUNDS) if bound < value), default=0.0)
    high = min((bound for bound in BOUNDS if bound >= value), default=BOUNDS[-1])
    assert found is not None
    assert min(low, high) - 1e-9 <= found <= high + 1e-9


def test_nothing_has_no_quantile_and_no_mean():
    empty = of([])
    assert (empty.quantile(0.5), empty.mean, empty.count) == (None, None, 0)


def test_mean_is_that_of_the_values():
    assert of([1.0, 5.0]).mean == pytest.approx(3.0)
