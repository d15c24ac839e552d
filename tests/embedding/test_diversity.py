"""Maximal marginal relevance, against the definition as it stands in the paper."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from lib.embedding.diversity import diversify

type Floats = NDArray[np.float64]


def slowly(scores: Floats, vectors: Floats, number: int, diversity: float) -> list[int]:
    """Choose one post after the other, each time looking at every pair anew."""
    span = max(scores) - min(scores)
    chosen: list[int] = []
    while len(chosen) < min(number, len(scores)):
        best, most = -1, -np.inf
        for post in range(len(scores)):
            if post in chosen:
                continue
            relevance = (scores[post] - min(scores)) / span if span else 0.0
            likeness = max((cosine(vectors[post], vectors[other]) for other in chosen), default=0.0)
            worth = (1 - diversity) * relevance - diversity * likeness
            if worth > most + 1e-12:
                best, most = post, worth
        chosen.append(best)
    return chosen


def cosine(left: Floats, right: Floats) -> float:
    lengths = np.linalg.norm(left) * np.linalg.norm(right)
    return float(left @ right / lengths) if lengths else 0.0


@given(
    seed=st.integers(0, 10_000),
    posts=st.integers(1, 25),
    number=st.integers(1, 30),
    diversity=st.sampled_from([0.05, 0.3, 0.5, 0.9, 1.0]),
)
def test_order_is_that_of_the_definition(seed: int, posts: int, number: int, diversity: float):
    random = np.random.default_rng(seed)
    scores, vectors = random.random(posts), random.normal(size=(posts, 6))
    order = diversify(scores, vectors, number, diversity)
    assert order.tolist() == slowly(scores, vectors, number, diversity)


@given(seed=st.integers(0, 10_000), posts=st.integers(0, 20), number=st.integers(1, 25))
def test_without_diversity_it_is_the_order_of_the_scores_and_equal_ones_stay(
    seed: int, posts: int, number: int
):
    random = np.random.default_rng(seed)
    scores, vectors = random.integers(0, 5, posts) / 4, random.normal(size=(posts, 3))
    wanted = sorted(range(posts), key=lambda post: (-scores[post], post))[:number]
    assert diversify(scores, vectors, number, 0.0).tolist() == wanted


@pytest.mark.parametrize("diversity", [0.0, 0.3, 1.0])
def test_each_post_is_shown_once_and_the_arguments_stay(diversity: float):
    random = np.random.default_rng(3)
    scores, vectors = random.random(50), random.normal(size=(50, 4))
    vectors[:5] = 0
    before = scores.copy(), vectors.copy()
    order = diversify(scores, vectors, 50, diversity)
    assert sorted(order.tolist()) == list(range(50))
    np.testing.assert_array_equal(scores, before[0])
    np.testing.assert_array_equal(vectors, before[1])


def test_twin_of_what_was_shown_waits():
    vectors = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    scores = np.array([1.0, 0.7, 0.5])
    assert diversify(scores, vectors, 3, 0.0).tolist() == [0, 1, 2]
    assert diversify(scores, vectors, 3, 0.3).tolist() == [0, 2, 1]


def test_without_candidates_nothing_is_shown():
    assert diversify(np.empty(0), np.empty((0, 3)), 5, 0.3).tolist() == []


def test_equal_scores_are_equally_relevant():
    vectors = np.array([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]])
    assert diversify(np.full(3, 0.4), vectors, 3, 0.3).tolist() == [0, 2, 1]
