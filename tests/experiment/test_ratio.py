import math
from fractions import Fraction
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.experiment.estimate import Estimate
from lib.experiment.ratio import Shares, compare_shares

Z = NormalDist().inv_cdf(0.975)

USER = st.integers(0, 20).flatmap(lambda shown: st.tuples(st.just(shown), st.integers(0, shown)))
ARM = st.lists(USER, min_size=35, max_size=60)


def compared(*arms: list[tuple[int, int]]) -> Shares:
    """Compare arms of users, each of whom was shown so many posts and acted on so many."""
    users = [(arm, *user) for arm, members in enumerate(arms) for user in members]
    arm, shown, acted = np.array(users, dtype=np.int64).reshape(-1, 3).T
    return compare_shares(arm, shown, acted, len(arms))


def test_share_and_its_interval_by_hand():
    # 30 of 600: 0.05. What is left of each user is 2 - 0.5 or 0 - 1.5, and 30 times 2.25 is 67.5
    found = compared([(10, 2), (30, 0)] * 15, [(10, 2), (30, 0)] * 15)
    margin = Z * math.sqrt(67.5 * 30 / 29) / 600
    for share in found.shares:
        assert share is not None
        assert (share.value, share.margin) == pytest.approx((0.05, margin))
    [difference] = found.differences
    assert difference is not None
    assert (difference.value, difference.margin) == pytest.approx((0, margin * math.sqrt(2)))
    assert not difference.shown
    assert (found.users.tolist(), found.shown.tolist()) == ([30, 30], [600, 600])
    assert found.acted.tolist() == [30, 30]


def test_user_who_saw_much_counts_as_one_user():
    """Posts are not drawn one by one: one who acts on everything shows hardly anything."""
    [alone, _] = compared([(10, 1)] * 40 + [(1000, 1000)], [(10, 1)] * 40).shares
    assert alone is not None
    assert alone.value == pytest.approx(1040 / 1400)
    assert alone.low < 0.4, "as if posts were drawn it would be above 0.7"


def test_arm_has_an_interval_from_so_many_users_and_so_many_who_acted_on():
    just = [(4, 1)] * 5 + [(4, 0)] * 25
    shares = compared(just, [(4, 1)] * 4 + [(4, 0)] * 26, just[1:]).shares
    assert [share is not None for share in shares] == [True, False, False]


def by_hand(users: list[tuple[int, int]]) -> tuple[float, float] | None:
    """Return share and variance, exactly, user by user."""
    seen = [(Fraction(shown), Fraction(acted)) for shown, acted in users if shown]
    if len(seen) < 30 or sum(acted > 0 for _, acted in seen) < 5:
        return None
    total = sum(shown for shown, _ in seen)
    share = sum(acted for _, acted in seen) / total
    mean = total / len(seen)
    spread = sum((acted - share * shown) ** 2 for shown, acted in seen) / (len(seen) - 1)
    return float(share), float(spread / len(seen) / mean**2)


@settings(max_examples=30)
@given(ARM, ARM, ARM)
def test_shares_and_differences_are_those_of_the_slow_reference(
    a: list[tuple[int, int]], b: list[tuple[int, int]], c: list[tuple[int, int]]
):
    found = compared(a, b, c)
    wanted = [by_hand(arm) for arm in (a, b, c)]
    for share, one in zip(found.shares, wanted, strict=True):
        assert (share is None) == (one is None)
        if share and one:
            assert share.value == pytest.approx(one[0])
            assert share.margin == pytest.approx(Z * math.sqrt(one[1]), abs=1e-12)
    together = NormalDist().inv_cdf(1 - 0.05 / 2 / 2)
    for difference, one in zip(found.differences, wanted[1:], strict=True):
        assert (difference is None) == (one is None or wanted[0] is None)
        if difference and one and wanted[0]:
            assert difference.value == pytest.approx(one[0] - wanted[0][0], abs=1e-12)
            margin = together * math.sqrt(one[1] + wanted[0][1])
            assert difference.margin == pytest.approx(margin, abs=1e-12)


def crowd(rng: np.random.Generator, users: int, mean: float) -> list[tuple[int, int]]:
    """Make users who were shown very different amounts, and who act each in a way of their own."""
    shown = rng.geometric(0.05, users)
    likely = rng.beta(2, 2 / mean - 2, users)
    return list(zip(shown.tolist(), rng.binomial(shown, likely).tolist(), strict=True))


def test_margin_is_that_of_a_bootstrap_over_users():
    rng = np.random.default_rng(3)
    users = crowd(rng, 400, 0.2)
    [share, _] = compared(users, users).shares
    assert share is not None
    table = np.array(users)
    draws = [table[rng.integers(0, 400, 400)].sum(axis=0) for _ in range(4000)]
    spread = np.std([acted / shown for shown, acted in draws])
    assert share.margin == pytest.approx(Z * spread, rel=0.06)


def test_interval_holds_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(5)
    held, same = [], []
    for _ in range(600):
        found = compared(crowd(rng, 150, 0.2), crowd(rng, 150, 0.2))
        [first, _], [difference] = found.shares, found.differences
        assert first is not None
        assert difference is not None
        held.append(first.low <= 0.2 <= first.high)
        same.append(not difference.shown)
    assert np.mean(held) == pytest.approx(0.95, abs=0.03)
    assert np.mean(same) == pytest.approx(0.95, abs=0.03)


def test_difference_that_is_there_is_found():
    rng = np.random.default_rng(7)
    [difference] = compared(crowd(rng, 500, 0.1), crowd(rng, 500, 0.2)).differences
    assert difference is not None
    assert difference.shown
    assert difference.low < 0.1 < difference.high


MANY = [(10, 1)] * 30


@pytest.mark.parametrize(
    "few",
    [
        pytest.param([], id="nobody"),
        pytest.param([(10, 1)] * 29, id="29 users"),
        pytest.param([(10, 1)] * 29 + [(0, 0)] * 9, id="some who saw nothing"),
        pytest.param([(10, 5)] * 4 + [(10, 0)] * 90, id="four who acted"),
    ],
)
def test_arm_of_too_few_has_no_interval_and_the_others_have_theirs(few: list[tuple[int, int]]):
    found = compared(MANY, few, MANY)
    assert [share is None for share in found.shares] == [False, True, False]
    assert [one is None for one in found.differences] == [True, False]
    assert [one is None for one in compared(few, MANY, MANY).differences] == [True, True]


def test_who_saw_nothing_changes_nothing():
    assert compared(MANY, MANY).shares == compared(MANY + [(0, 0)] * 50, MANY).shares


@pytest.mark.parametrize(
    ("value", "margin", "shown"),
    [(0.1, 0.05, True), (-0.1, 0.05, True), (0.1, 0.1, False), (0.0, 0.0, False)],
)
def test_difference_is_shown_where_the_interval_leaves_out_nothing(
    value: float,
    margin: float,
    shown: bool,  # noqa: FBT001  # a column of the table
):
    assert Estimate(value, margin).shown == shown
