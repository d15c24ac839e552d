"""The map: the plane that shows most, and nothing else."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.embedding.projection import project


def drawn(seed: int, posts: int, tastes: int = 2, size: int = 6):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(posts, size)), rng.normal(size=(tastes, size))


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@given(seed=st.integers(0, 2**32 - 1), posts=st.integers(3, 40))
def test_no_plane_shows_more_of_the_posts(seed: int, posts: int):
    vectors, tastes = drawn(seed, posts)
    found = project(vectors, tastes, None)
    directions = unit(vectors - vectors.mean(axis=0))
    # the reference: eigenvalues of the directions' scatter
    values = np.linalg.eigvalsh(directions.T @ directions)
    assert (found.posts**2).sum() == pytest.approx(values[-2:].sum())
    assert found.spread == pytest.approx(values[-2:].sum() / values.sum())


@given(seed=st.integers(0, 2**32 - 1), posts=st.integers(3, 40))
def test_posts_and_tastes_are_laid_on_the_same_plane(seed: int, posts: int):
    vectors, _ = drawn(seed, posts)
    found = project(vectors, vectors, None)
    np.testing.assert_allclose(found.posts, found.tastes, atol=1e-9)


def test_what_was_taken_off_the_tastes_is_taken_off_the_posts_alone():
    vectors, _ = drawn(1, 20)
    mean = vectors.mean(axis=0)
    tastes = unit(vectors - mean)
    found = project(vectors, tastes, mean)
    np.testing.assert_allclose(found.posts, found.tastes, atol=1e-9)
    assert (np.linalg.norm(found.tastes, axis=1) <= 1 + 1e-9).all()


@given(seed=st.integers(0, 2**32 - 1))
def test_order_of_the_posts_changes_nothing(seed: int):
    vectors, tastes = drawn(seed, 12)
    order = np.random.default_rng(seed).permutation(12)
    found, again = project(vectors, tastes, None), project(vectors[order], tastes, None)
    np.testing.assert_allclose(found.posts[order], again.posts, atol=1e-6)
    np.testing.assert_allclose(found.tastes, again.tastes, atol=1e-6)


@pytest.mark.parametrize(
    ("posts", "tastes"),
    [(0, 0), (0, 2), (1, 1), (2, 0), (3, 1)],
    ids=["nothing", "no posts", "one post", "two posts and no taste", "three posts"],
)
def test_few_posts_are_laid_out_too(posts: int, tastes: int):
    found = project(np.ones((posts, 6)), np.ones((tastes, 6)), None)
    assert found.posts.shape == (posts, 2)
    assert found.tastes.shape == (tastes, 2)
    assert np.isfinite([*found.posts.flat, *found.tastes.flat, found.spread]).all()
