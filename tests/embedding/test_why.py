"""Why: the contributions are the vector."""

from dataclasses import replace
from random import Random
from uuid import UUID

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from lib.embedding import BASELINE, SCHEMES, Histories, PostVectors, Scheme, aggregate
from lib.embedding.aggregate import lengths, weigh
from lib.embedding.history import DAY
from lib.embedding.label import Label
from lib.embedding.why import Explanation, explain
from lib.errors import EmbeddingError
from tests.embedding.histories import (
    DIMENSIONS,
    POSTS,
    READ_AT,
    Event,
    events,
    packed,
    platform,
    seeds,
)


def explained(
    happened: list[Event], scheme: Scheme, seed: int
) -> tuple[Explanation, NDArray[np.float32], PostVectors, NDArray[np.float64] | None, Histories]:
    histories = Histories.unpack([packed(happened, scheme)], scheme, READ_AT)
    posts, mean = platform(histories, seed)
    taken_off = mean if scheme.centred else None
    made = aggregate(histories, posts, scheme, np.ones(1, dtype=np.int64), taken_off)
    assume(made.made[0])
    weights = weigh(histories, posts.sizes, scheme)
    found = explain(histories, weights, posts, taken_off, READ_AT, limit=99)
    return found, made.vectors[0], posts, taken_off, histories


SIGNED = replace(SCHEMES[-1], name="signed", negative_share=0.9, saturated=False, interests=0)
"""Negatives that weigh enough to be seen."""


@pytest.mark.parametrize("scheme", [*SCHEMES, SIGNED], ids=lambda scheme: scheme.name)
@given(events, seeds)
def test_contributions_add_up_to_the_vector_that_is_stored(
    scheme: Scheme, happened: list[Event], seed: int
):
    found, stored, posts, mean, histories = explained(happened, scheme, seed)
    assert found.vector == pytest.approx(stored.astype(np.float64), abs=1e-6)
    assert found.posts == len(found.contributions)
    assert sum(one.share for one in found.contributions) == pytest.approx(1)
    embeddings = dict(
        zip(
            (post.tobytes() for post in histories.distinct_posts),
            posts.vectors.astype(np.float64),
            strict=True,
        )
    )
    total = np.zeros(DIMENSIONS)
    for one in found.contributions:
        part = one.weight * (embeddings[one.post.bytes] - (0 if mean is None else mean))
        assert one.share == pytest.approx(part @ found.vector / found.length, abs=1e-12)
        total += part / found.length
    assert total == pytest.approx(found.vector, abs=1e-12)


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: scheme.name)
@given(events, seeds, st.randoms())
def test_the_order_of_the_log_does_not_matter(
    scheme: Scheme, happened: list[Event], seed: int, random: Random
):
    shuffled = random.sample(happened, len(happened))
    first = explained(happened, scheme, seed)[0].contributions
    again = explained(shuffled, scheme, seed)[0].contributions
    assert [one.post for one in again] == [one.post for one in first]
    assert [one.share for one in again] == pytest.approx([one.share for one in first], abs=1e-12)
    assert [one.age_days for one in again] == [one.age_days for one in first]


@given(events, seeds)
def test_every_post_is_named_once_the_strongest_first(happened: list[Event], seed: int):
    contributions = explained(happened, SIGNED, seed)[0].contributions
    posts = [one.post for one in contributions]
    assert len(set(posts)) == len(posts)
    assert UUID(bytes=POSTS[0]) not in posts
    sizes = [abs(one.share) for one in contributions]
    assert sizes == pytest.approx(sorted(sizes, reverse=True))


A, B, C = (UUID(bytes=post) for post in POSTS[1:4])


def by_hand(
    contributions: list[tuple[UUID, float, int]],
    embeddings: dict[UUID, list[float]],
    **options: int,
) -> Explanation:
    """Explain signed weights, as they stand, acted on so many microseconds ago."""
    posts = sorted({post.bytes for post, _, _ in contributions})
    vectors = np.array([embeddings[UUID(bytes=post)] for post in posts], dtype=np.float32)
    histories = Histories(
        np.array([0, len(contributions)]),
        np.array(posts, dtype="V16"),
        np.array([posts.index(post.bytes) for post, _, _ in contributions]),
        np.array([weight for _, weight, _ in contributions]),
        np.array([READ_AT - ago for _, _, ago in contributions]),
    )
    rows = PostVectors(np.arange(len(posts)), vectors, lengths(vectors))
    return explain(histories, histories.weights, rows, None, READ_AT, **options)


def test_shares_are_what_is_worked_out_by_hand():
    # 3 (1, 0) + 4 (0, 1) = 5 (0.6, 0.8); of its length 5 one makes 3 x 0.6, the other 4 x 0.8
    found = by_hand([(A, 3, DAY), (B, 4, DAY // 2)], {A: [1, 0], B: [0, 1]})
    assert found.vector.tolist() == pytest.approx([0.6, 0.8])
    assert found.length == pytest.approx(5)
    first, second = found.contributions
    assert (first.post, second.post) == (B, A)
    assert (first.share, second.share) == pytest.approx((0.64, 0.36))
    assert (first.weight, second.weight) == (4, 3)
    assert (first.age_days, second.age_days) == (0.5, 1)


def test_a_post_that_draws_near_and_pushes_away_counts_what_is_left():
    found = by_hand([(A, 3, 5 * DAY), (A, -1, 2 * DAY), (B, 1, 0)], {A: [1, 0], B: [1, 0]})
    assert [one.weight for one in found.contributions] == [2, 1]
    assert found.contributions[0].age_days == 2


def test_a_post_on_the_other_side_has_a_negative_share():
    found = by_hand([(A, 3, 0), (B, 1, 0)], {A: [1, 0], B: [-1, 0]})
    assert [one.share for one in found.contributions] == pytest.approx([1.5, -0.5])


def test_what_is_yet_to_come_has_no_age():
    assert by_hand([(A, 1, -DAY)], {A: [1, 0]}).contributions[0].age_days == 0


def test_only_the_strongest_are_named_and_equals_in_order_of_id():
    log = [(C, 1.0, 0), (B, 1.0, 0), (A, 1.0, 0)]
    found = by_hand(log, {A: [1, 1], B: [1, 1], C: [1, 1]}, limit=2)
    assert found.posts == 3
    assert [one.post for one in found.contributions] == sorted([A, B, C])[:2]


def test_ten_are_named_unless_more_are_asked_for():
    posts = {UUID(int=n): [1.0, n] for n in range(1, 13)}
    every = [(post, 1.0, 0) for post in posts]
    assert len(by_hand(every, posts).contributions) == 10
    assert len(by_hand(every, posts, limit=12).contributions) == 12


@pytest.mark.parametrize(
    "contributions",
    [[(A, 1.0, 0), (B, 1.0, 0)], [(A, 1.0, 0), (A, -1.0, 0)], [(A, 0.0, 0)]],
    ids=["opposite posts", "a post against itself", "nothing that counts"],
)
def test_what_cancels_out_is_refused(contributions: list[tuple[UUID, float, int]]):
    with pytest.raises(EmbeddingError, match="expected posts that add up to a direction"):
        by_hand(contributions, {A: [1, 0], B: [-1, 0]})


@pytest.mark.parametrize("model", ["all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2"])
@pytest.mark.parametrize("mean", [None, 1, 12])
@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: scheme.name)
def test_a_label_reads_what_the_scheme_writes(scheme: Scheme, mean: int | None, model: str):
    label = Label.parse(scheme.stored_as(model, mean))
    if scheme == BASELINE:
        assert label == Label(model, None, None)
    else:
        assert label == Label(model, scheme.label, mean)


@pytest.mark.parametrize("text", ["", "m", "a/b", "a/b@", "a/b@x", "/b@1", "a/b@1#", "a/b@1#x"])
def test_whatever_else_a_label_says_is_a_model(text: str):
    assert Label.parse(text) == Label(text, None, None)


def test_ages_are_of_the_latest_action():
    log = packed([(1, 0, 3 * DAY), (1, 1, DAY), (1, 0, 2 * DAY)], BASELINE)
    histories = Histories.unpack([log], BASELINE, READ_AT)
    posts, _ = platform(histories, 1)
    [one] = explain(histories, histories.weights, posts, None, READ_AT).contributions
    assert one.age_days == 1
    assert one.weight == 1 + 5 + 1
