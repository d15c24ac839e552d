import math
from statistics import NormalDist, fmean, variance

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from lib.experiment.comparison import Difference, adjust, chi_square_tail, compare, sample_ratio

Z = NormalDist().inv_cdf(0.975)

CRITICAL = {
    0.05: (3.841, 5.991, 7.815, 9.488, 11.070, 12.592, 14.067),
    0.001: (10.828, 13.816, 16.266, 18.467, 20.515, 22.458, 24.322),
}
"""Of chi-square with 1, 2, ... 7 degrees of freedom, as every table of it has them."""


@pytest.mark.parametrize(
    ("likely", "degrees", "statistic"),
    [
        (likely, degrees, statistic)
        for likely, row in CRITICAL.items()
        for degrees, statistic in enumerate(row, 1)
    ],
)
def test_chi_square_tail_is_that_of_the_tables(likely: float, degrees: int, statistic: float):
    assert chi_square_tail(statistic, degrees) == pytest.approx(likely, rel=2e-3)


@pytest.mark.parametrize("degrees", range(1, 8))
@pytest.mark.parametrize("statistic", [0.5, 3.0, 20.0])
def test_chi_square_tail_is_the_area_under_the_density(degrees: int, statistic: float):
    x = np.linspace(statistic, statistic + 200, 400_001)
    density = x ** (degrees / 2 - 1) * np.exp(-x / 2) / 2 ** (degrees / 2)
    area = np.trapezoid(density, x) / math.gamma(degrees / 2)
    assert chi_square_tail(statistic, degrees) == pytest.approx(area, rel=1e-6)


@pytest.mark.parametrize("degrees", range(1, 8))
def test_chi_square_tail_is_whole_at_nothing_and_nothing_far_out(degrees: int):
    assert chi_square_tail(0, degrees) == 1
    assert chi_square_tail(1e9, degrees) == 0


def ratio(*counts: int, shares: tuple[float, ...] = ()) -> float | None:
    return sample_ratio(np.array(counts), np.array(shares or (1.0,) * len(counts)))


def test_sample_ratio_by_hand():
    # (60 - 50)^2 / 50 + (40 - 50)^2 / 50 = 4: two standard deviations
    assert ratio(60, 40) == pytest.approx(0.0455, abs=1e-4)
    # (35 - 25)^2 / 25 + (65 - 75)^2 / 75 = 5.333
    assert ratio(35, 65, shares=(25, 75)) == pytest.approx(math.erfc(math.sqrt(5.3333333 / 2)))
    # 2 degrees of freedom: (10^2 + 10^2 + 0) / 50 = 4, exp(-2)
    assert ratio(60, 40, 50) == pytest.approx(math.exp(-2))
    assert ratio(50, 50) == 1


def test_sample_ratio_of_few_users_is_not_known():
    assert ratio(0, 0) is None
    assert ratio(9, 0) is None
    assert ratio(1000, 3, shares=(999, 1)) is None
    assert ratio(10, 0) is not None


def test_arm_that_loses_one_user_in_twenty_is_noticed():
    likely = ratio(10_000, 9_500)
    assert likely is not None
    assert likely < 0.001


def test_sample_ratio_of_fair_shares_is_seldom_called_unlikely():
    rng = np.random.default_rng(1)
    shares = np.array([5.0, 3.0, 2.0])
    found = [sample_ratio(rng.multinomial(500, shares / 10), shares) for _ in range(2000)]
    assert np.mean([likely is not None and likely < 0.05 for likely in found]) == pytest.approx(
        0.05, abs=0.015
    )


def halves(
    *pairs: tuple[float, float], times: int = 15
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return arms whose users did one thing or the other, as many of each."""
    values = [value for pair in pairs for value in pair * times]
    return np.repeat(np.arange(len(pairs)), 2 * times), np.array(values, dtype=float)


def test_difference_by_hand():
    arm, after = halves((0, 2), (1, 3))
    found = compare(arm, np.zeros(60), after, 2)
    assert found.users.tolist() == [30, 30]
    assert found.before.tolist() == [0, 0]
    assert found.after.tolist() == [1, 2]
    [difference] = found.differences
    assert difference is not None
    # each arm: 30 squares of 1 over 29, and the mean of 30
    assert difference.margin == pytest.approx(Z * math.sqrt(2 * (30 / 29) / 30))
    assert difference.value == pytest.approx(1)
    assert difference.unadjusted_margin == pytest.approx(difference.margin)
    assert difference.variance_reduction == 0


def test_what_before_foretells_altogether_leaves_the_effect_alone():
    arm, before = halves((1, 5), (1, 5))
    [difference] = compare(arm, before, 2 * before + 3 * arm, 2).differences
    assert difference is not None
    assert difference.value == pytest.approx(3)
    assert difference.margin == pytest.approx(0, abs=1e-9)
    assert difference.variance_reduction == pytest.approx(1)


def test_arms_that_differed_before_are_told_apart_by_what_came_after():
    """Arm 1 did 2 more before, by chance; each did twice as much after, and nothing else."""
    arm, before = halves((1, 5), (3, 7))
    [difference] = compare(arm, before, 2 * before, 2).differences
    assert difference is not None
    assert difference.value == pytest.approx(0, abs=1e-9)


def test_difference_is_shown_where_its_interval_leaves_out_nothing():
    for value, margin, shown in ((1, 0.9, True), (1, 1, False), (-1, 0.9, True), (0, 0, False)):
        difference = Difference(value, margin, margin)
        assert difference.shown is shown
        assert (difference.low, difference.high) == (value - margin, value + margin)


def test_arm_of_few_users_has_a_mean_and_no_interval():
    arm = np.repeat([0, 1, 2], [30, 29, 30])
    found = compare(arm, np.zeros(89), np.arange(89.0), 3)
    assert found.after.tolist() == [14.5, 44, 73.5]
    assert [difference is None for difference in found.differences] == [True, False]


def test_arms_without_users_have_no_mean():
    found = compare(np.zeros(0, dtype=np.intp), np.zeros(0), np.zeros(0), 2)
    assert found.users.tolist() == [0, 0]
    assert np.isnan([*found.before, *found.after]).all()
    assert found.differences == (None,)


def reference(
    arm: list[int], before: list[float], after: list[float], arms: int
) -> list[tuple[float, float]]:
    """Return each later arm's difference and margin, one user at a time."""
    mean_before, mean_after = fmean(before), fmean(after)
    spread = sum((b - mean_before) ** 2 for b in before)
    together = sum((b - mean_before) * (a - mean_after) for b, a in zip(before, after, strict=True))
    slope = together / spread if spread else 0.0
    parts: list[list[float]] = [[] for _ in range(arms)]
    for place, b, a in zip(arm, before, after, strict=True):
        parts[place].append(a - slope * (b - mean_before))
    z = -NormalDist().inv_cdf(0.05 / 2 / (arms - 1))
    errors = [math.sqrt(variance(part) / len(part)) for part in parts]
    return [
        (fmean(part) - fmean(parts[0]), z * math.hypot(error, errors[0]))
        for part, error in zip(parts[1:], errors[1:], strict=True)
    ]


def made_up(
    rng: np.random.Generator, users: int, arms: int, effect: float = 0
) -> tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.float64]]:
    """Return users whose tastes differ as people's do: most do little, a few do much."""
    taste = rng.gamma(0.7, 6, users)
    arm = rng.integers(arms, size=users)
    return arm, rng.poisson(taste).astype(float), rng.poisson(taste + effect * arm).astype(float)


@given(st.integers(0, 2**32), st.integers(2, 8))
def test_comparison_is_what_a_loop_over_the_users_comes_to(seed: int, arms: int):
    arm, before, after = made_up(np.random.default_rng(seed), 60 * arms, arms, effect=0.5)
    wanted = reference(arm.tolist(), before.tolist(), after.tolist(), arms)
    for difference, expected in zip(
        compare(arm, before, after, arms).differences, wanted, strict=True
    ):
        if difference is not None:
            assert (difference.value, difference.margin) == pytest.approx(expected)


@given(st.integers(0, 2**32), st.floats(0.1, 100), st.floats(-100, 100))
def test_scale_and_origin_of_before_change_nothing(seed: int, scale: float, shift: float):
    _, before, after = made_up(np.random.default_rng(seed), 100, 2)
    assert adjust(scale * before + shift, after) == pytest.approx(adjust(before, after))


@given(st.integers(0, 2**32))
def test_order_of_the_users_changes_nothing(seed: int):
    rng = np.random.default_rng(seed)
    arm, before, after = made_up(rng, 200, 2)
    order = rng.permutation(200)
    [one] = compare(arm, before, after, 2).differences
    [other] = compare(arm[order], before[order], after[order], 2).differences
    assert one is not None
    assert other is not None
    assert (one.value, one.margin) == pytest.approx((other.value, other.margin))


def trials(arms: int, *, effect: float = 0, users: int = 400) -> list[list[Difference]]:
    rng = np.random.default_rng(7)
    found = [compare(*made_up(rng, users, arms, effect), arms).differences for _ in range(1500)]
    return [[one for one in differences if one is not None] for differences in found]


@pytest.mark.parametrize("arms", [2, 4])
def test_arms_that_do_not_differ_are_said_to_in_one_of_twenty_experiments(arms: int):
    found = trials(arms)
    assert all(len(differences) == arms - 1 for differences in found)
    alarms = np.mean([any(one.shown for one in differences) for differences in found])
    # three standard errors of 1500 tosses are 0.017
    assert alarms == pytest.approx(0.05, abs=0.02)


def test_difference_that_is_there_is_found_and_is_neither_more_nor_less():
    found = [one for [one] in trials(2, effect=1.5)]
    assert np.mean([one.shown and one.value > 0 for one in found]) > 0.95
    assert np.mean([one.low <= 1.5 <= one.high for one in found]) == pytest.approx(0.95, abs=0.02)
    values = [one.value for one in found]
    assert np.mean(values) == pytest.approx(1.5, abs=4 * np.std(values) / math.sqrt(len(values)))


def test_adjustment_narrows_by_as_much_as_before_and_after_go_together():
    """A gamma taste of variance v and mean m, and a Poisson's noise: correlation v / (v + m)."""
    correlation = (0.7 * 36) / (0.7 * 36 + 0.7 * 6)
    found = [one for [one] in trials(2)]
    reduction = np.mean([one.variance_reduction for one in found])
    assert reduction == pytest.approx(correlation**2, abs=0.03)
    spread = np.std([one.value for one in found])
    assert np.mean([one.margin for one in found]) == pytest.approx(Z * spread, rel=0.06)


def test_adjustment_by_what_foretells_nothing_costs_nothing():
    rng = np.random.default_rng(3)
    arm, after = rng.integers(2, size=2000), rng.poisson(3, 2000).astype(float)
    [difference] = compare(arm, rng.poisson(3, 2000).astype(float), after, 2).differences
    assert difference is not None
    assert difference.variance_reduction == pytest.approx(0, abs=0.01)
