import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lib.embedding import calculate_similarity
from lib.errors import EmbeddingError
from tests.reference import cosine

numbers = st.floats(width=32, allow_nan=False, allow_infinity=False)
pairs = st.integers(1, 8).flatmap(
    lambda size: st.tuples(*[st.lists(numbers, min_size=size, max_size=size).filter(any)] * 2)
)
plain = st.lists(st.integers(-9, 9).map(float), min_size=3, max_size=3).filter(any)


@settings(max_examples=50)
@given(pairs)
def test_similarity_is_symmetric_and_within_bounds(pair: tuple[list[float], list[float]]):
    left, right = pair
    similarity = calculate_similarity(left, right)
    assert -1 <= similarity <= 1
    assert similarity == calculate_similarity(right, left)


@settings(max_examples=50)
@given(pairs)
def test_similarity_to_itself_is_one_and_to_its_opposite_minus_one(
    pair: tuple[list[float], list[float]],
):
    vector, _ = pair
    assert calculate_similarity(vector, vector) == pytest.approx(1)
    assert calculate_similarity(vector, [-x for x in vector]) == pytest.approx(-1)


def test_similarity_stays_within_bounds_where_rounding_does_not():
    random = np.random.default_rng(1)
    for _ in range(300):
        vector = random.normal(size=384)
        assert 1 - 1e-9 < calculate_similarity(vector, 3 * vector) <= 1
        assert -1 <= calculate_similarity(vector, -3 * vector) < -1 + 1e-9


@settings(max_examples=50)
@given(plain, plain)
def test_similarity_is_the_cosine(left: list[float], right: list[float]):
    assert calculate_similarity(left, right) == pytest.approx(cosine(left, right), abs=1e-12)


@settings(max_examples=50)
@given(plain, plain, st.floats(1e-6, 1e6), st.floats(1e-6, 1e6))
def test_similarity_does_not_depend_on_length(
    left: list[float], right: list[float], one: float, two: float
):
    assert calculate_similarity([one * x for x in left], [two * x for x in right]) == pytest.approx(
        calculate_similarity(left, right), abs=1e-9
    )


@settings(max_examples=50)
@given(plain, plain)
def test_arrays_and_lists_of_any_precision_are_alike(left: list[float], right: list[float]):
    similarity = calculate_similarity(left, right)
    for kind in (np.float16, np.float32, np.float64):
        assert calculate_similarity(np.array(left, kind), np.array(right, kind)) == similarity
    assert type(similarity) is float


@settings(max_examples=50)
@given(plain)
def test_perpendicular_vectors_are_not_alike(vector: list[float]):
    x, y, _ = vector
    assume(x or y)
    assert calculate_similarity([x, y], [-y, x]) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ([1.0, 2.0], [1.0]),
        ([], []),
        ([[1.0]], [[1.0]]),
        ([0.0, 0.0], [1.0, 0.0]),
        ([1.0, 0.0], [0.0, -0.0]),
        ([math.nan, 1.0], [1.0, 1.0]),
        ([1.0, 1.0], [math.inf, 1.0]),
        ([-math.inf], [math.inf]),
    ],
    ids=str,
)
def test_similarity_that_is_not_defined_is_an_error(left: list[float], right: list[float]):
    with pytest.raises(EmbeddingError, match=r"^expected .* (zero|got .*)$"):
        calculate_similarity(left, right)


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_similarity_of_finite_vectors_is_defined_whatever_their_length(scale: float):
    assert calculate_similarity([scale, 0.0], [scale, scale]) == pytest.approx(math.sqrt(0.5))
