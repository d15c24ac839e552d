from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.contenders import by_age, by_popularity
from evaluation.dataset import Actions, Dataset
from evaluation.split import DAY, Split, at_share, at_time, past, standing, user_by_user
from evaluation.variants import changed, shipped
from tests.evaluation.small import TYPES, Row, dataset

PLANE = [(1.0, 0.0), (0.8, 0.6), (0.6, 0.8), (0.0, 1.0), (-0.6, 0.8)]

LOG: list[Row] = [
    (0, 0, "like_post", 1.0),
    (1, 1, "view_post", 1.5),
    (0, 1, "hide_post", 2.0),
    (2, 0, "report_post", 2.5),  # of no weight: no past
    (1, 2, "share_post", 3.2),  # on the day of the cut: unknown
    (0, 1, "like_post", 4.0),  # hidden before: not to be found
    (0, 2, "like_post", 4.5),
    (0, 3, "share_post", 5.0),  # not there at the cut
    (2, 1, "like_post", 5.5),
    (1, 3, "hide_post", 6.0),
]


def pairs(of: Split, keys: np.ndarray) -> list[tuple[int, int]]:
    """Return numbers of users and posts."""
    places, posts = np.divmod(keys, len(of.candidates))
    return list(zip(of.users[places].tolist(), posts.tolist(), strict=True))


def test_a_cut_in_time_is_as_worked_out_by_hand():
    split = at_share(dataset(LOG, PLANE, created=[0, 0, 3, 5, 0]), 0.4)
    assert split.cuts.tolist() == [3 * DAY] * 3
    assert split.name == "40% (2000-01-04)"
    assert split.candidates.tolist() == [True, True, False, False, True]
    assert split.users.tolist() == []  # nobody turned to a post that was there

    split = at_share(dataset(LOG, PLANE, created=[0, 0, 2, 5, 0]), 0.4)
    assert split.candidates.tolist() == [True, True, True, False, True]
    assert split.users.tolist() == [0, 1]
    assert pairs(split, split.seen) == [(0, 0), (0, 1), (1, 1)]
    assert pairs(split, split.relevant) == [(0, 2), (1, 2)]


def test_a_post_without_an_embedding_is_neither_candidate_nor_past():
    blank = [(0.0, 0.0), *PLANE[1:]]
    split = at_share(dataset(LOG, blank, created=[0, 0, 2, 5, 0]), 0.4)
    assert split.candidates.tolist() == [False, True, True, False, True]
    assert split.users.tolist() == [1]


def test_what_is_taken_back_is_neither_past_nor_to_be_found():
    log: list[Row] = [
        (0, 0, "like_post", 1),
        (1, 1, "like_post", 1),
        (0, 0, "unlike_post", 2),
        (1, 2, "like_post", 3),
        (1, 3, "like_post", 3),
        (0, 3, "like_post", 3),
        (1, 2, "unlike_post", 4),
    ]
    split = at_share(dataset(log, PLANE), 0.5)
    assert split.cuts[0] == 3 * DAY
    assert split.users.tolist() == [1]
    assert pairs(split, split.relevant) == [(1, 3)]


def test_each_user_can_be_cut_apart():
    log: list[Row] = [(0, post, "like_post", post) for post in range(5)]
    log += [(1, post, "like_post", 10 + post) for post in (4, 3, 1, 0)]
    split = user_by_user(dataset(log, PLANE, users=3), 0.75)
    assert split.cuts.tolist() == [3 * DAY, 14 * DAY, 0]  # the last has done nothing
    assert pairs(split, split.relevant) == [(0, 3), (0, 4), (1, 4)]
    assert pairs(split, split.seen) == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 3)]
    assert split.candidates.all()


@pytest.mark.parametrize(
    ("kinds", "left"),
    [
        (["like", "unlike"], [False, True]),
        (["unlike", "like"], [True, True]),
        (["like", "like", "unlike", "like"], [False, False, True, True]),
        (["view", "unlike"], [True, True]),
        (["like", "unlike", "like", "unlike"], [False, True, False, True]),
    ],
    ids=["taken_back", "before_it", "again", "another_type", "twice"],
)
def test_a_retraction_cancels_all_before_it_on_that_post(kinds: list[str], left: list[bool]):
    log: list[Row] = [(0, 0, f"{kind}_post", 1) for kind in kinds]
    others: list[Row] = [(0, 1, "like_post", 0), (1, 0, "like_post", 0)]
    data = dataset([*others, *log], PLANE)
    everything = np.ones(len(data.actions.at), np.bool_)
    assert standing(data, everything).tolist() == [True, True, *left]


def test_a_retraction_yet_to_come_cancels_nothing():
    data = dataset([(0, 0, "like_post", 1), (0, 0, "unlike_post", 2)], PLANE)
    assert standing(data, np.array([True, False])).tolist() == [True, False]


def made_up(seed: int) -> Dataset:
    """Post number p is there from day p on, and nobody acts on it before."""
    rng = np.random.default_rng(seed)
    kinds = rng.choice(["like_post", "view_post", "share_post", "hide_post", "unlike_post"], 150)
    log: list[Row] = [
        (int(rng.integers(8)), int(rng.integers(1 + min(int(day), 29))), str(kind), float(day))
        for kind, day in zip(kinds, rng.random(150) * 40, strict=True)
    ]
    vectors = rng.normal(size=(30, 6)) + 1
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return dataset(log, vectors.tolist(), created=range(30), users=8)


@settings(max_examples=15)
@given(st.integers(0, 10_000))
def test_nothing_that_is_fitted_knows_what_came_after_the_cut(seed: int):
    """The future is made anew: other users, posts, types, and the vectors of posts to come."""
    data, rng = made_up(seed), np.random.default_rng(seed)
    split = at_share(data, 0.6)
    actions, later = data.actions, ~past(data, split)
    other = Actions(
        np.where(later, rng.integers(8, size=len(later)), actions.user),
        np.where(later, rng.integers(30, size=len(later)), actions.post),
        np.where(later, rng.integers(len(data.types), size=len(later)), actions.kind),
        actions.at,
    )
    vectors = np.where(split.candidates[:, None], data.vectors, data.vectors[::-1])
    world = replace(data, actions=other, vectors=vectors)
    known = split.candidates
    users = np.arange(len(split.users))
    for variant in (*shipped(), *changed(data)):
        before, after = (variant.scores(some, split)(0, len(users)) for some in (data, world))
        assert np.array_equal(before[:, known], after[:, known]), variant.name
    popular = [by_popularity(some, split)(0, len(users))[:, known] for some in (data, world)]
    assert np.array_equal(*popular)


def test_popularity_counts_people_and_age_counts_days():
    log: list[Row] = [
        (0, 0, "view_post", 1),
        (0, 0, "like_post", 1),
        (0, 0, "like_post", 2),
        (0, 1, "like_post", 2),
        (1, 1, "share_post", 2),
        (1, 2, "hide_post", 2),
        (1, 3, "like_post", 2),
        (1, 3, "unlike_post", 2),
        (1, 0, "like_post", 3),
        (2, 0, "like_post", 3),
    ]
    data = dataset(log, PLANE, created=[0, 1, 0, 2, 0])
    split = at_share(data, 0.8)
    assert by_popularity(data, split)(0, 1).tolist() == [[1, 2, 0, 0, 0]]
    assert (by_age(data)(0, 1)[0] / DAY).tolist() == [0, 1, 0, 2, 0]


def test_at_one_time_whoever_finds_something_is_in_it_with_a_past_or_without():
    log: list[Row] = [
        (0, 0, "like_post", 1),
        (1, 0, "view_post", 2),
        (0, 1, "like_post", 9),
        (2, 2, "like_post", 9),
        (3, 3, "like_post", 9),
    ]
    data = dataset(log, [(1.0, 0.0)] * 4, created=[0, 0, 0, 9])
    found = at_time(data, 5 * DAY)
    assert found.users.tolist() == [0, 2]
    assert found.seen.tolist() == [0]
    assert found.relevant.tolist() == [1, 4 + 2]
    assert found.name == "2000-01-06"


@pytest.mark.parametrize("seed", range(3))
def test_the_split_of_some_users_keeps_what_is_theirs(seed: int):
    rng = np.random.default_rng(seed)
    log: list[Row] = [
        (int(rng.integers(9)), int(rng.integers(20)), str(rng.choice(TYPES)), 30 * float(day))
        for day in rng.random(200)
    ]
    whole = at_time(dataset(log, [(1.0, 0.0)] * 20), 15 * DAY)
    chosen = rng.random(len(whole.users)) < 0.5
    some, count = whole.where(chosen), len(whole.users)
    assert np.array_equal(some.users, whole.users[chosen])
    for few, every in ((some.seen, whole.seen), (some.relevant, whole.relevant)):
        expected = whole.mask(every, 0, count)[chosen]
        assert np.array_equal(some.mask(few, 0, len(some.users)), expected)
