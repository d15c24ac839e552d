from datetime import UTC, datetime
from uuid import UUID

import numpy as np
import pytest
from numpy.typing import NDArray

from dev.judge import Verdict, judge, nearest, top_topics
from dev.world import Post, World, invent

NOW = datetime(2026, 5, 4, tzinfo=UTC)
ANN, BEN, CAT = (UUID(int=number) for number in (1, 2, 3))


def axis(*numbers: int) -> NDArray[np.float32]:
    """Return a unit vector halfway between the numbered axes."""
    vector = np.zeros(384, np.float32)
    vector[list(numbers)] = len(numbers) ** -0.5
    return vector


@pytest.fixture(scope="module")
def table() -> World:
    """Topics a, b and c on axes of their own, two posts each, and one of a not embedded yet."""
    topics = ("a", "a", "b", "b", "c", "c", "a")
    vectors = np.stack([axis(0), axis(0, 9), axis(1), axis(1, 9), axis(2), axis(2, 9), axis(0) * 0])
    posts = tuple(
        Post(UUID(int=100 + number), f"post {number}", topic, NOW, None)
        for number, topic in enumerate(topics)
    )
    tastes = {ANN: ("a", "b"), BEN: ("b",), CAT: ("c", "a")}
    return World((ANN, BEN, CAT), posts, vectors, (), tastes)


def test_nearest_orders_by_cosine_and_leaves_out_what_is_not_embedded(table: World):
    rows = nearest(table, np.stack([axis(0), axis(1)]), 3)
    assert rows[:, :2].tolist() == [[0, 1], [2, 3]]
    assert 6 not in nearest(table, axis(0)[None], 7)


def test_top_topics_put_the_most_frequent_first(table: World):
    mixed = axis(0) + 0.9 * axis(1)
    assert top_topics(table, {ANN: mixed}, posts=4) == {ANN: ("a", "b")}
    assert top_topics(table, {ANN: mixed}, posts=2) == {ANN: ("a", "b")}
    assert top_topics(table, {ANN: mixed}, posts=4, topics=1) == {ANN: ("a",)}
    assert top_topics(table, {ANN: axis(9) + 0.1 * axis(1)}, posts=4)[ANN][0] == "b"


def test_judge_counts_whoever_is_right(table: World):
    """Ann and Ben point to their own, Cat to a. Dealt at random: a, b, a against a, b, c."""
    vectors = {ANN: axis(0), BEN: axis(1), CAT: axis(0)}
    verdict = judge(table, vectors, topics=1, posts=2)
    assert verdict == Verdict(users=3, right=pytest.approx(2 / 3), chance=pytest.approx(1 / 3))


def test_judge_takes_the_strongest_taste_only(table: World):
    assert judge(table, {ANN: axis(1)}, topics=1, posts=2).right == 0.0
    assert judge(table, {ANN: axis(0) + 0.9 * axis(1)}, topics=2, posts=4).right == 1.0


def test_judge_finds_chance_in_random_vectors():
    world = invent(NOW)
    rng = np.random.default_rng(1)
    vectors = {user: rng.normal(size=384).astype(np.float32) for user in world.users}
    verdict = judge(world, vectors)
    assert 0.1 < verdict.chance < 0.2
    assert verdict.right == pytest.approx(verdict.chance, abs=0.03)  # three standard errors


def test_judge_finds_the_tastes_in_the_mean_of_what_was_viewed():
    world = invent(NOW)
    number = {post.id: number for number, post in enumerate(world.posts)}
    sums: dict[UUID, NDArray[np.float32]] = {}
    for action in world.actions:
        vector = world.vectors[number[action.post]]
        sums[action.user] = sums.get(action.user, np.zeros(384, np.float32)) + vector
    verdict = judge(world, {user: total for user, total in sums.items() if total.any()})
    assert verdict.right > 0.9
    assert verdict.chance < 0.2


@pytest.mark.parametrize(
    ("vectors", "said"),
    [
        pytest.param({}, "got 0, 0 without", id="no vectors"),
        pytest.param({ANN: axis(0), UUID(int=9): axis(1)}, "got 2, 1 without", id="a stranger"),
    ],
)
def test_judge_refuses_users_it_cannot_judge(
    table: World, vectors: dict[UUID, NDArray[np.float32]], said: str
):
    with pytest.raises(ValueError, match=f"^expected vectors of users with known tastes, {said}$"):
        judge(table, vectors)
