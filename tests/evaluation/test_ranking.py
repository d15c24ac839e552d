import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from evaluation import ranking
from evaluation.ranking import rank
from tests.evaluation.small import split

scores_of_20 = arrays.arrays(np.float64, (3, 20), elements=st.integers(-4, 4).map(float))
posts_of_20 = arrays.arrays(np.bool_, (3, 20))


def some(*posts: int, of: int = 5) -> NDArray[np.bool_]:
    return np.isin(np.arange(of), posts)[None]


def test_rank_counts_from_the_highest_score_and_leaves_out_what_was_seen():
    scores = np.array([[0.1, 0.9, 0.5, 0.7, 0.3]])
    found = rank(split(some(2, 4), some(1)), lambda first, last: scores[first:last])
    assert found.ranks.tolist() == [2, 3]
    assert found.owners.tolist() == [0, 0]
    assert found.lists.tolist() == [[3, 2, 4, 0, -1]]


def test_rank_puts_the_lower_id_first_where_scores_are_equal():
    found = rank(split(some(4)), lambda first, last: np.zeros((last - first, 5)))
    assert found.lists.tolist() == [[0, 1, 2, 3, 4]]
    assert found.ranks.tolist() == [5]


def test_rank_refuses_scores_that_are_no_numbers():
    with pytest.raises(ValueError, match="finite"):
        rank(split(some(4)), lambda first, last: np.full((last - first, 5), np.nan))


@given(scores_of_20, posts_of_20, posts_of_20)
def test_rank_agrees_with_sorting_one_user_after_the_other(
    scores: NDArray[np.float64], relevant: NDArray[np.bool_], seen: NDArray[np.bool_]
):
    relevant = relevant & ~seen
    found = rank(split(relevant, seen), lambda first, last: scores[first:last])
    expected = []
    for user in range(3):
        left = [post for post in range(20) if not seen[user, post]]
        left.sort(key=lambda post, user=user: (-scores[user, post], post))
        expected += [(user, 1 + left.index(post)) for post in np.flatnonzero(relevant[user])]
        assert [p for p in found.lists[user].tolist() if p >= 0] == left[:10]
    assert list(zip(found.owners.tolist(), found.ranks.tolist(), strict=True)) == expected


def test_rank_goes_by_parts_without_a_trace():
    """More users than are ranked together."""
    rng = np.random.default_rng(3)
    users, posts = 2 * ranking.CELLS // 100_000 + 1, 100_000
    relevant = np.zeros((users, posts), np.bool_)
    wanted = rng.integers(posts, size=users)
    relevant[np.arange(users), wanted] = True
    line = rng.permutation(posts).astype(np.float64)
    found = rank(split(relevant), lambda first, last: np.broadcast_to(line, (last - first, posts)))
    assert found.owners.tolist() == list(range(users))
    assert found.ranks.tolist() == (posts - line[wanted]).astype(int).tolist()
