import math
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.metrics import coverage, diversity, ndcg, recall, reciprocal_rank
from evaluation.ranking import Ranking
from tests.evaluation.small import ranking

ONE, TWO, THREE, NINE = (1 / math.log2(1 + rank) for rank in (1, 2, 3, 9))

some_ranks = st.lists(st.integers(1, 60), min_size=1, max_size=15, unique=True).map(sorted)
some_users = st.lists(some_ranks, min_size=1, max_size=6)


@pytest.mark.parametrize(
    ("ranks", "at_10", "at_50", "gain", "reciprocal"),
    [
        ((1,), 1.0, 1.0, 1.0, 1.0),
        ((3,), 1.0, 1.0, 0.5, 1 / 3),
        ((10,), 1.0, 1.0, 1 / math.log2(11), 0.1),
        ((11,), 0.0, 1.0, 0.0, 1 / 11),
        ((51,), 0.0, 0.0, 0.0, 1 / 51),
        ((2, 9), 1.0, 1.0, (TWO + NINE) / (ONE + TWO), 0.5),
        ((1, 3, 40, 70), 0.5, 0.75, (ONE + THREE) / (ONE + TWO + THREE + 1 / math.log2(5)), 1.0),
        (tuple(range(1, 13)), 10 / 12, 1.0, 1.0, 1.0),
    ],
    ids=["first", "third", "tenth", "eleventh", "past_50", "two", "four", "more_than_ten"],
)
def test_metrics_are_as_worked_out_by_hand(
    ranks: tuple[int, ...], at_10: float, at_50: float, gain: float, reciprocal: float
):
    found = ranking((5,), ranks)  # another user before changes nothing
    assert recall(found, 10)[1] == pytest.approx(at_10)
    assert recall(found, 50)[1] == pytest.approx(at_50)
    assert ndcg(found, 10)[1] == pytest.approx(gain)
    assert reciprocal_rank(found)[1] == pytest.approx(reciprocal)


@given(some_users)
def test_metrics_agree_with_a_slow_reading_of_their_definitions(users: list[list[int]]):
    found = ranking(*users)
    for depth in (1, 10, 50):
        for user, ranks in enumerate(users):
            gained = sum(1 / math.log2(1 + rank) for rank in ranks if rank <= depth)
            best = sum(1 / math.log2(2 + place) for place in range(min(depth, len(ranks))))
            assert ndcg(found, depth)[user] == pytest.approx(gained / best)
            hits = [rank for rank in ranks if rank <= depth]
            assert recall(found, depth)[user] == pytest.approx(len(hits) / len(ranks))
            assert reciprocal_rank(found)[user] == pytest.approx(1 / min(ranks))


@given(some_users)
def test_metrics_lie_between_0_and_1_and_recall_grows_with_depth(users: list[list[int]]):
    found = ranking(*users)
    deeper = [recall(found, depth) for depth in range(1, 61)]
    assert (np.diff(deeper, axis=0) >= 0).all()
    assert (deeper[-1] == 1).all()
    for values in (ndcg(found, 10), reciprocal_rank(found), *deeper):
        assert ((values >= 0) & (values <= 1 + 1e-12)).all()


@given(st.lists(st.integers(1, 10), min_size=1, max_size=5))
def test_a_perfect_ranking_has_1_everywhere(wanted: list[int]):
    found = ranking(*(range(1, count + 1) for count in wanted))
    for values in (ndcg(found, 10), recall(found, 10), reciprocal_rank(found)):
        assert values == pytest.approx(np.ones(len(wanted)))


@given(some_users, st.randoms(use_true_random=False))
def test_a_user_has_the_same_figures_in_whatever_order_users_come(
    users: list[list[int]], random: Random
):
    order = random.sample(range(len(users)), len(users))
    straight, shuffled = ranking(*users), ranking(*(users[place] for place in order))
    for metric in (lambda r: ndcg(r, 10), lambda r: recall(r, 10), reciprocal_rank):
        assert metric(straight)[order] == pytest.approx(metric(shuffled))


@given(some_ranks, st.data())
def test_a_post_found_earlier_never_makes_a_ranking_worse(ranks: list[int], data: st.DataObject):
    place = data.draw(st.integers(0, len(ranks) - 1))
    free = [rank for rank in range(1, ranks[place]) if rank not in ranks]
    better = sorted(
        {*ranks} - {ranks[place]} | {data.draw(st.sampled_from(free or [ranks[place]]))}
    )
    found = ranking(ranks, better)
    for values in (ndcg(found, 10), recall(found, 10), reciprocal_rank(found)):
        assert values[1] >= values[0] - 1e-12


def test_coverage_counts_each_listed_post_once_and_no_empty_place():
    assert coverage(np.array([[0, 1, 2], [2, 1, -1]]), 6) == 0.5


def test_diversity_is_1_less_the_mean_cosine_of_different_posts():
    directions = np.array([(1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (1.0, 0.0)])
    lists = np.array([[0, 3, -1], [0, 1, -1], [0, 2, -1], [0, 1, 2], [1, -1, -1]])
    nothing = np.zeros(0, np.int64)
    found = diversity(Ranking(nothing, nothing, lists), directions)
    assert found == pytest.approx([0.0, 1.0, 2.0, 4 / 3, 0.0])
