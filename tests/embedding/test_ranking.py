"""One score of taste, freshness and popularity."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.embedding.ranking import Blend, Scores, popularity

BLEND = Blend(1, 0.5, 0.3, 0.2, freshness_days=2.0, popularity_days=7.0, trust=4.0)


def test_score_is_what_is_worked_out_by_hand():
    scores = Scores.of(
        np.array([0.8, -0.4]), np.array([2.0, -1.0]), np.array([0.5, 1.0]), 12, BLEND
    )
    # 12 posts against a trust of 4: three quarters of what similarity weighs
    assert scores.similarity.tolist() == pytest.approx([0.5 * 0.75 * 0.8, 0.5 * 0.75 * -0.4])
    # two days are one half-life; what is yet to come is new
    assert scores.freshness.tolist() == pytest.approx([0.3 * 0.5, 0.3])
    assert scores.popularity.tolist() == pytest.approx([0.2 * 0.5, 0.2])
    assert scores.total.tolist() == pytest.approx([0.3 + 0.15 + 0.1, -0.15 + 0.3 + 0.2])


def test_similarity_counts_half_of_a_user_with_as_many_posts_as_trust_says():
    one = np.ones(1)
    counts = [
        float(Scores.of(one, one, one, posts, BLEND).similarity[0]) for posts in (0, 4, 10**9)
    ]
    assert counts == pytest.approx([0, 0.25, 0.5])


def test_users_are_scored_together_as_each_alone():
    random = np.random.default_rng(3)
    similarities, ages, known = random.normal(size=(3, 5)), random.random(5) * 9, random.random(5)
    posts = np.array([[0.0], [3.0], [40.0]])
    together = Scores.of(similarities, ages, known, posts, BLEND)
    for user in range(3):
        alone = Scores.of(similarities[user], ages, known, float(posts[user, 0]), BLEND)
        assert together.total[user].tolist() == alone.total.tolist()


def test_popularity_is_logarithmic_up_to_the_most_popular():
    found = popularity(np.array([0.0, 1.0, 7.0]), 7.0)
    assert found.tolist() == pytest.approx([0, math.log(2) / math.log(8), 1])


def test_what_has_faded_to_next_to_nothing_still_has_a_most_popular():
    assert popularity(np.array([0.0, 1e-6]), 1e-6).tolist() == [0, 1]


def test_where_nothing_was_done_nothing_is_popular():
    assert popularity(np.zeros(2), 0.0).tolist() == [0, 0]


@given(
    st.lists(
        st.tuples(st.floats(-1, 1), st.floats(-100, 10_000), st.floats(0, 1)),
        min_size=1,
        max_size=9,
    ),
    st.integers(0, 10**6),
)
def test_parts_add_up_to_the_score_and_stay_within_their_weights(
    rows: list[tuple[float, float, float]], posts: int
):
    scores = Scores.of(*(np.array(column) for column in zip(*rows, strict=True)), posts, BLEND)
    parts = scores.similarity + scores.freshness + scores.popularity
    assert scores.total == pytest.approx(parts)
    assert (np.abs(scores.similarity) <= BLEND.similarity).all()
    assert ((scores.freshness >= 0) & (scores.freshness <= BLEND.freshness)).all()
    assert ((scores.popularity >= 0) & (scores.popularity <= BLEND.popularity)).all()
