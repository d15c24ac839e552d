"""Chance: as often as it says, of every candidate alike, and the same for the same answer."""

from collections import Counter
from random import Random
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.embedding.exploration import Slots, explore


def seeds(count: int) -> list[UUID]:
    random = Random(1)
    return [UUID(int=random.getrandbits(128), version=4) for _ in range(count)]


def shown(positions: int, candidates: int, share: float, seed: UUID) -> Slots:
    return explore(np.arange(positions), candidates, share, seed)


@given(
    seed=st.uuids(),
    positions=st.integers(0, 20),
    more=st.integers(0, 10),
    share=st.floats(0, 1),
)
def test_each_candidate_is_shown_once_and_what_is_not_drawn_keeps_its_order(
    seed: UUID, positions: int, more: int, share: float
):
    slots = shown(positions, positions + more, share, seed)
    posts = slots.posts.tolist()
    assert len(posts) == len(set(posts)) == positions
    ranked = [post for post, drawn in zip(posts, slots.propensities, strict=True) if drawn == 0]
    assert ranked == sorted(ranked)
    assert ranked == [post for post in range(positions) if post in ranked]
    left = range(positions + more, 0, -1)
    for drawn, free in zip(slots.propensities.tolist(), left, strict=False):
        assert drawn in {0, share / free}


def test_without_a_share_the_order_stays():
    slots = shown(5, 9, 0.0, UUID(int=1))
    assert slots.posts.tolist() == list(range(5))
    assert not slots.propensities.any()


def test_with_the_whole_share_every_position_is_drawn_for():
    slots = shown(5, 5, 1.0, seeds(1)[0])
    assert slots.propensities.tolist() == [1 / 5, 1 / 4, 1 / 3, 1 / 2, 1]
    assert sorted(slots.posts.tolist()) == [0, 1, 2, 3, 4]


def test_same_answer_is_drawn_alike_and_another_is_not():
    first, second = seeds(2)
    assert shown(20, 90, 0.5, first).posts.tolist() == shown(20, 90, 0.5, first).posts.tolist()
    assert shown(20, 90, 0.5, first).posts.tolist() != shown(20, 90, 0.5, second).posts.tolist()


@pytest.mark.parametrize("share", [0.05, 0.3, 0.5])
def test_every_position_is_drawn_for_as_often_as_the_share_says(share: float):
    """20,000 answers: three standard deviations are 0.011 at most."""
    drawn = np.mean([shown(6, 10, share, seed).propensities > 0 for seed in seeds(20_000)], axis=0)
    np.testing.assert_allclose(drawn, share, atol=0.011)


def test_propensity_is_how_often_a_position_gets_a_post_at_random():
    """Given what came before it: here, that the first position was not drawn for."""
    share, answers = 0.4, 40_000
    first: Counter[int] = Counter()
    second: Counter[int] = Counter()
    undrawn = 0
    for seed in seeds(answers):
        slots = shown(2, 5, share, seed)
        if slots.propensities[0]:
            assert slots.propensities[0] == share / 5
            first[int(slots.posts[0])] += 1
            continue
        undrawn += 1
        if slots.propensities[1]:
            assert slots.propensities[1] == share / 4
            second[int(slots.posts[1])] += 1
    assert set(first) == {0, 1, 2, 3, 4}
    assert set(second) == {1, 2, 3, 4}
    for count in first.values():
        assert count / answers == pytest.approx(share / 5, abs=0.005)
    for count in second.values():
        assert count / undrawn == pytest.approx(share / 4, abs=0.008)


def test_what_is_drawn_weighed_by_its_propensity_tells_of_all_candidates():
    """The mean of sum(value / propensity) is the sum of all values that were there to draw."""
    values = np.array([3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0])
    estimates, truths = [], []
    for seed in seeds(20_000):
        slots = shown(3, 8, 0.5, seed)
        for position, (post, drawn) in enumerate(zip(slots.posts, slots.propensities, strict=True)):
            before = values[slots.posts[:position]].sum()
            truths.append(values.sum() - before)
            estimates.append(values[post] / drawn if drawn else 0.0)
    assert np.mean(estimates) == pytest.approx(np.mean(truths), rel=0.02)
