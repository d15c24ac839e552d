import numpy as np
import pytest

from evaluation.hubness import hubness


def test_hubness_is_as_worked_out_by_hand():
    """Four in the quarter circle: 0 and 10 degrees see each other, 30 sees 10, 80 sees 30."""
    angles = np.radians([0.0, 10.0, 30.0, 80.0])
    found = hubness(np.stack([np.cos(angles), np.sin(angles)], axis=1), 1)
    # seen 1, 2, 1 and 0 times
    assert found.nobodys == 0.25
    assert found.most == pytest.approx(2 / 3)
    assert found.skewness == pytest.approx(0.0)


def test_one_that_everybody_is_near_to_is_a_hub():
    spokes = np.eye(30)
    hub = np.ones((1, 30))
    vectors = np.concatenate([hub / np.linalg.norm(hub), spokes])
    found = hubness(vectors, 1)
    assert found.most == 1.0
    assert found.nobodys == pytest.approx(29 / 31)  # the hub's own neighbour is the first
    assert found.skewness > 5


def test_nobody_is_a_neighbour_of_oneself():
    twins = np.array([(1.0, 0.0), (1.0, 0.0), (0.0, 1.0), (0.0, 1.0)])
    found = hubness(twins, 1)
    assert (found.nobodys, found.skewness) == (0.0, 0.0)


def test_users_go_by_parts_without_a_trace():
    vectors = np.random.default_rng(2).normal(size=(2500, 4))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    near = vectors @ vectors.T
    np.fill_diagonal(near, -np.inf)
    counts = np.bincount(np.argsort(-near, axis=1)[:, :3].ravel(), minlength=2500)
    found = hubness(vectors, 3)
    assert found.nobodys == (counts == 0).mean()
    assert found.most == counts.max() / 2499


def test_too_few_users_are_refused():
    with pytest.raises(ValueError, match="more than 3 users"):
        hubness(np.eye(3), 3)
