import numpy as np
import pytest

from evaluation.label_free import label_free
from evaluation.split import at_share
from tests.evaluation.small import Row, dataset

SQUARE = [(1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.6, 0.8)]

LOG: list[Row] = [
    (0, 0, "like_post", 1),
    (0, 0, "view_post", 2),
    (0, 1, "like_post", 3),
    (1, 1, "like_post", 4),
    (1, 2, "hide_post", 4),
    (2, 0, "like_post", 5),
    (2, 2, "like_post", 5),
    (3, 0, "like_post", 0),
    (0, 3, "like_post", 8),
    (1, 3, "like_post", 9),
]


def test_label_free_figures_are_as_worked_out_by_hand():
    data = dataset(LOG, SQUARE, created=[0, 0, 0, 8])
    found = label_free(data, at_share(data, 0.8), np.arange(3))
    assert found.users == 3
    assert found.mean_length == pytest.approx(1 / 3)
    # a right angle, a single post, two opposites; each post once, however often acted on
    assert found.resultants == pytest.approx(np.quantile([0.5**0.5, 1.0, 0.0], [0.25, 0.5, 0.75]))
    # with (0, 1/3) taken off: directions (3, -1), (0, 1) and (-3, -1)
    down = -1 / 10**0.5
    angles = [np.hypot(3 / 10**0.5, 1 + down) / 2, 1.0, -down]
    assert found.centred_resultants == pytest.approx(np.quantile(angles, [0.25, 0.5, 0.75]))
    assert found.age == pytest.approx(4.5)  # of 7, 6, 5, 4, 3 and 3 days before the 8th
