"""Post vectors in bounded memory: the right version, or none."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.embedding.warm import NEVER, UNDATED, WarmVectors

D = 3
CAPACITY = 4


def ids(posts: list[int]) -> np.ndarray:
    return np.frombuffer(b"".join(post.to_bytes(16) for post in posts), dtype="V16")


def vector(post: int, version: int) -> list[float]:
    return [post + 1.0, version % 7 + 1.0, 0.5]


def ask(warm: WarmVectors, versions: dict[int, int]) -> list[bool]:
    """Find posts and take in what is missing, as a page does; return which were found."""
    posts = sorted(versions)
    wanted = np.array([versions[post] for post in posts], dtype=np.int64)
    rows = warm.find(ids(posts), wanted)
    found = (rows >= 0).tolist()
    missing = [post for post, row in zip(posts, rows, strict=True) if row < 0]
    for half in (missing[::2], missing[1::2]):
        vectors = np.array([vector(post, versions[post]) for post in half], dtype=np.float32)
        dates = np.array([versions[post] for post in half], dtype=np.int64)
        rows[np.isin(posts, half)] = warm.keep(ids(half), dates, vectors.reshape(-1, D))
    assert len(set(rows.tolist())) == len(rows)
    for post, row in zip(posts, rows, strict=True):
        assert warm.vectors[row].tolist() == vector(post, versions[post])
        assert warm.sizes[row] == pytest.approx(np.linalg.norm(vector(post, versions[post])))
    return found


asked = st.dictionaries(st.integers(0, 9), st.sampled_from([1, 2, UNDATED]), max_size=CAPACITY)


@settings(max_examples=200)
@given(st.lists(asked, max_size=12))
def test_vectors_are_those_of_the_version_asked_for_and_the_last_ones_are_at_hand(
    turns: list[dict[int, int]],
):
    warm = WarmVectors(CAPACITY, D)
    ever: set[tuple[int, int]] = set()
    last: set[tuple[int, int]] = set()
    for versions in turns:
        for key, found in zip(sorted(versions.items()), ask(warm, versions), strict=True):
            assert found or key not in last
            assert not found or key in ever
        last = {key for key in versions.items() if key[1] != UNDATED}
        ever |= last


def test_post_used_longest_ago_makes_room():
    warm = WarmVectors(CAPACITY, D)
    for post in (0, 1, 2, 3, 0, 4):
        ask(warm, {post: 1})
    assert warm.find(ids([0, 1, 2, 3]), np.array([1, 1, 1, 1])).tolist()[1] == -1
    assert ask(warm, {0: 1, 2: 1, 3: 1, 4: 1}) == [True] * 4


def test_post_used_in_this_turn_keeps_its_place_whatever_is_taken_in():
    warm = WarmVectors(CAPACITY, D)
    ask(warm, {0: 1, 1: 1, 2: 1, 3: 1})
    assert ask(warm, {0: 1, 8: 1, 9: 1}) == [True, False, False]
    assert ask(warm, {0: 1}) == [True]


@pytest.mark.parametrize(
    ("first", "second", "hit"),
    [(5, 5, True), (5, 6, False), (6, 5, False), (UNDATED, UNDATED, False)],
    ids=["same", "embedded anew", "an older copy", "nobody knows of when"],
)
def test_vector_is_found_only_in_the_version_that_was_taken_in(
    first: int, second: int, *, hit: bool
):
    warm = WarmVectors(CAPACITY, D)
    ask(warm, {7: first})
    assert ask(warm, {7: second}) == [hit]
    assert (warm.found, warm.missed) == (int(hit), 2 - int(hit))


def test_post_without_an_embedding_is_neither_found_nor_missed():
    warm = WarmVectors(CAPACITY, D)
    assert warm.find(ids([1, 2]), np.array([NEVER, NEVER])).tolist() == [-1, -1]
    assert (warm.found, warm.missed) == (0, 0)


def test_all_that_was_ever_asked_for_is_counted():
    warm = WarmVectors(CAPACITY, D)
    ask(warm, {0: 1, 1: 1})
    before = warm.found, warm.missed
    for _ in range(3):
        warm.find(ids([0, 1, 2]), np.array([1, 1, 1]))
    assert (warm.found, warm.missed) == (before[0] + 6, before[1] + 3)


def test_more_posts_than_there_is_room_for_are_refused():
    warm = WarmVectors(CAPACITY, D)
    ask(warm, {0: 1, 1: 1, 2: 1})
    assert (warm.find(ids([0, 1, 2]), np.array([1, 1, 1])) >= 0).all()
    with pytest.raises(ValueError, match="4 places at most"):
        warm.keep(ids([3, 4]), np.array([1, 1]), np.ones((2, D), dtype=np.float32))


def test_vector_that_is_no_direction_has_no_size():
    warm = WarmVectors(CAPACITY, D)
    warm.find(ids([1, 2]), np.array([1, 1]))
    vectors = np.array([[0, 0, 0], [np.inf, 1, 1]], dtype=np.float32)
    assert warm.sizes[warm.keep(ids([1, 2]), np.array([1, 1]), vectors)].tolist() == [0, 0]
