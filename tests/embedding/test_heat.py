"""Heat: popularity whose order stays right."""

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.embedding.heat import cold, weights_at

NOON = datetime(2000, 1, 8, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def test_cold_counts_half_lives_since_2000():
    assert cold(NOON, 2.5) == 3.0
    assert cold(datetime(2000, 1, 1, tzinfo=UTC), 7.0) == 0.0


def test_one_action_weighs_one_when_it_is_done_and_half_a_half_life_later():
    heats = np.array([cold(NOON, 2.0), cold(NOON, 2.0) + math.log2(10), -math.inf])
    assert weights_at(heats, NOON, 2.0).tolist() == pytest.approx([1, 10, 0])
    assert weights_at(heats, NOON + 2 * DAY, 2.0).tolist() == pytest.approx([0.5, 5, 0])


@given(st.lists(st.floats(-50, 50), min_size=2, max_size=6), st.floats(0.5, 30))
def test_order_and_proportions_stay_as_time_passes(heats: list[float], half_life: float):
    now, later = (weights_at(np.array(heats), NOON + days * DAY, half_life) for days in (0.0, 9.0))
    assert (np.diff(now[np.argsort(heats)]) >= 0).all()
    assert later == pytest.approx(now * 0.5 ** (9 / half_life), rel=1e-6)
