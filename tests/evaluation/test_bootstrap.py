import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike, NDArray

from evaluation.bootstrap import RESAMPLES, Interval, bootstrap

some_values = st.lists(st.floats(-1, 1), min_size=2, max_size=30).map(np.array)


def interval(values: ArrayLike, owners: ArrayLike | None = None) -> Interval:
    numbers = np.asarray(values)
    whose = np.arange(len(numbers)) if owners is None else np.asarray(owners)
    return bootstrap(numbers, whose, np.random.default_rng(1))


def test_a_difference_that_all_users_share_is_certain():
    found = interval([0.25] * 7)
    assert (found.mean, found.lower, found.upper) == pytest.approx((0.25, 0.25, 0.25))


def test_the_interval_is_that_of_the_normal_approximation_where_there_are_many_users():
    values = np.random.default_rng(5).normal(0.1, 1.0, 2000)
    found, error = interval(values), values.std() / np.sqrt(2000)
    assert found.mean == pytest.approx(values.mean())
    assert found.lower == pytest.approx(values.mean() - 1.96 * error, abs=0.1 * error)
    assert found.upper == pytest.approx(values.mean() + 1.96 * error, abs=0.1 * error)


def test_a_user_met_at_many_cuts_counts_as_one_user():
    """Copies of the same cases make nothing surer; taken for users, they would."""
    values = np.random.default_rng(5).normal(0.1, 1.0, 40)
    owners = np.arange(40)
    once, often = interval(values), interval(np.tile(values, 5), np.tile(owners, 5))
    assert (often.lower, often.upper) == pytest.approx((once.lower, once.upper))
    taken_for_users = interval(np.tile(values, 5))
    assert taken_for_users.lower > once.lower + 0.05


def test_it_agrees_with_drawing_one_resample_after_the_other():
    values, owners = np.array([0.0, 1.0, 4.0, -2.0]), np.array([7, 3, 3, 9])
    rng, means = np.random.default_rng(1), []
    cases = [[0.0], [1.0, 4.0], [-2.0]]
    for _ in range(RESAMPLES):
        drawn = [value for place in rng.integers(3, size=3) for value in cases[place]]
        means.append(np.mean(drawn))
    found = interval(values, owners)
    assert (found.lower, found.upper) == tuple(np.quantile(means, [0.025, 0.975]))
    assert found.mean == 0.75


@settings(max_examples=20)
@given(some_values)
def test_the_same_seed_gives_the_same_interval_around_the_mean(values: NDArray[np.float64]):
    found = interval(values)
    assert found == interval(values)
    assert values.min() - 1e-9 <= found.lower <= found.upper <= values.max() + 1e-9


def test_no_value_is_refused():
    with pytest.raises(ValueError, match="one user at least"):
        interval([])
