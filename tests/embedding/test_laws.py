"""Laws that hold of any log, whichever scheme weighs it."""

import math
import struct
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from uuid import UUID

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lib.embedding import BASELINE, SCHEMES, Histories, PostVectors, Scheme, aggregate
from lib.embedding.aggregate import UserVectors, lengths
from lib.embedding.history import DAY, OLDEST, decay
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
from tests.reference import Action, interest_vector

RECOMMENDED = SCHEMES[-1]
HOSTILE = replace(RECOMMENDED, name="hostile", negative_share=0.8)
SATURATED = replace(RECOMMENDED, name="saturated", saturated=True)
every_scheme = pytest.mark.parametrize(
    "scheme", [*SCHEMES, SATURATED, HOSTILE], ids=lambda scheme: scheme.name
)
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
LIKE = BASELINE.actions.index("like_post")


def made(happened: list[Event], scheme: Scheme, seed: int) -> UserVectors:
    """Make the vector of one user."""
    histories = Histories.unpack([packed(happened, scheme)], scheme, READ_AT)
    posts, mean = platform(histories, seed)
    one = np.ones(1, dtype=np.int64)
    return aggregate(histories, posts, scheme, one, mean if scheme.centred else None)


def acted(happened: list[Event], scheme: Scheme) -> list[Action]:
    """Write the events down as a log has them."""
    return [
        Action(
            number,
            UUID(int=0),
            UUID(bytes=POSTS[post]),
            scheme.actions[place % len(scheme.actions)],
            EPOCH + timedelta(microseconds=READ_AT - ago),
        )
        for number, (post, place, ago) in enumerate(happened)
    ]


@every_scheme
@given(events, seeds)
def test_the_vector_is_what_plain_loops_make_of_the_log(
    scheme: Scheme, happened: list[Event], seed: int
):
    histories = Histories.unpack([packed(happened, scheme)], scheme, READ_AT)
    posts, mean = platform(histories, seed)
    taken_off = mean if scheme.centred else None
    found = aggregate(histories, posts, scheme, np.ones(1, dtype=np.int64), taken_off)
    embeddings = {
        UUID(bytes=post.tobytes()): posts.vectors[row].tolist()
        for post, row, size in zip(histories.distinct_posts, posts.rows, posts.sizes, strict=True)
        if size
    }
    wanted = interest_vector(
        acted(happened, scheme),
        embeddings,
        EPOCH + timedelta(microseconds=READ_AT),
        scheme,
        minimum=1,
        lookback=timedelta(days=400),
        mean=None if taken_off is None else taken_off.tolist(),
    )
    assert found.made.tolist() == [wanted is not None]
    assert found.vectors[0] == pytest.approx(wanted or [0.0] * DIMENSIONS, abs=1e-5)
    centre = 0.0 if taken_off is None else float(taken_off @ found.vectors[0])
    assert found.centres[0] == pytest.approx(centre)


@every_scheme
@given(events, seeds, st.randoms(use_true_random=False))
def test_the_order_of_rows_never_matters(
    scheme: Scheme, happened: list[Event], seed: int, random: Random
):
    first = made(happened, scheme, seed)
    again = made(random.sample(happened, len(happened)), scheme, seed)
    assert again.made.tolist() == first.made.tolist()
    assert again.posts.tolist() == first.posts.tolist()
    np.testing.assert_allclose(again.vectors, first.vectors, atol=1e-6)
    np.testing.assert_allclose(again.centres, first.centres, atol=1e-6)


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: scheme.name)
@given(events, seeds, st.sampled_from([2.0, 0.125, 3.7, 1e6, 1e-6]))
def test_scaling_all_weights_changes_nothing(
    scheme: Scheme, happened: list[Event], seed: int, factor: float
):
    scaled = replace(
        scheme,
        weights={action: factor * weight for action, weight in scheme.weights.items()},
        negatives={action: factor * weight for action, weight in scheme.negatives.items()},
    )
    first, other = made(happened, scheme, seed), made(happened, scaled, seed)
    assert other.made.tolist() == first.made.tolist()
    np.testing.assert_allclose(other.vectors, first.vectors, atol=1e-6)


def test_where_saturation_is_on_scaling_the_weights_changes_the_vector():
    happened = [(1, 0, DAY), (2, 4, DAY)]
    doubled = {action: 2 * weight for action, weight in SATURATED.weights.items()}
    first, other = (
        made(happened, scheme, 1) for scheme in (SATURATED, replace(SATURATED, weights=doubled))
    )
    assert np.abs(first.vectors - other.vectors).max() > 0.001


@pytest.mark.parametrize(
    "scheme",
    [replace(scheme, centred=False) for scheme in (*SCHEMES, SATURATED)],
    ids=lambda scheme: scheme.name,
)
@given(events, seeds, st.integers(1, 5), st.integers(-DAY, 90 * DAY))
def test_adding_a_like_of_a_post_never_lowers_the_similarity_to_it(
    scheme: Scheme, happened: list[Event], seed: int, post: int, ago: int
):
    """Without a mean that is taken off, and below the cap on what pushes away."""
    # more room for what pushes away would be more of it: here it has all the room it needs
    scheme = replace(scheme, negative_share=1e9)
    before = made(happened, scheme, seed)
    after = made([*happened, (post, LIKE, ago)], scheme, seed)
    assume(before.made[0] and after.made[0])
    whole = Histories.unpack([packed([(post, LIKE, ago)], scheme)], scheme, READ_AT)
    embedding = platform(whole, seed)[0].vectors[0].astype(np.float64)
    embedding /= np.linalg.norm(embedding)
    near = [float(vectors.vectors[0] @ embedding) for vectors in (before, after)]
    assert near[1] >= near[0] - 1e-6


@pytest.mark.parametrize("half_life", [0.5, 30.0, 90.0, 36_500.0])
def test_decay_of_the_half_life_is_a_half(half_life: float):
    ages = np.array([-1.0, 0.0, 1.0, 2.0, 10.0, 1e9]) * half_life * DAY
    left = decay(ages, half_life)
    assert left[:5].tolist() == [1.0, 1.0, 0.5, 0.25, 0.5**10]
    assert left[5] == 0.5**OLDEST > 0


@given(st.floats(0, 1000), st.floats(0, 1000), st.floats(0.01, 1000))
def test_decay_multiplies_where_ages_add(first: float, second: float, half_life: float):
    assume(first + second < OLDEST * half_life)
    ages = np.array([first, second, first + second]) * DAY
    one, other, both = decay(ages, half_life)
    assert math.isclose(one * other, both, rel_tol=1e-9)


numbers = st.floats(width=32, allow_nan=True, allow_infinity=True)
amounts = st.floats(min_value=0, max_value=1e30)
times = st.integers(-(2**62), 2**62)


@every_scheme
@given(
    st.lists(st.tuples(st.sampled_from(POSTS), st.integers(0, 6), amounts, times), max_size=12),
    st.lists(st.lists(numbers, min_size=DIMENSIONS, max_size=DIMENSIONS), min_size=6, max_size=6),
    st.lists(st.floats(-2, 2), min_size=DIMENSIONS, max_size=DIMENSIONS),
)
def test_no_input_makes_anything_but_a_vector_of_length_one_or_none(
    scheme: Scheme,
    happened: list[tuple[bytes, int, float, int]],
    embeddings: list[list[float]],
    mean: list[float],
):
    log = b"".join(
        post + struct.pack(">hdq", place % len(scheme.actions), amount, at)
        for post, place, amount, at in happened
    )
    histories = Histories.unpack([log, b""], scheme, READ_AT)
    known = np.array(embeddings, dtype=np.float32)
    rows = np.array([POSTS.index(post.tobytes()) for post in histories.distinct_posts], np.intp)
    posts = PostVectors(rows, known, lengths(known)[rows])
    taken_off = np.array(mean) if scheme.centred else None
    found = aggregate(histories, posts, scheme, np.ones(2, dtype=np.int64), taken_off)
    sizes = np.linalg.norm(found.vectors.astype(np.float64), axis=1)
    assert sizes[found.made] == pytest.approx(1, abs=1e-6)
    assert not found.vectors[~found.made].any()
    assert np.isfinite(found.centres).all()
    assert not found.made[1]
    if found.interests is not None:
        sizes = np.linalg.norm(found.interests.vectors.astype(np.float64), axis=1)
        assert sizes == pytest.approx(1, abs=1e-6)
        assert found.interests.shares.sum() == pytest.approx(found.made.sum())
