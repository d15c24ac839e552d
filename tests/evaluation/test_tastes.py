from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from evaluation.split import DAY, at_share, user_by_user
from evaluation.tastes import Tastes, mean_of, scores, tastes_of
from evaluation.variants import Variant
from lib.embedding import BASELINE
from lib.embedding.schemes import CENTRED, DECAY
from tests import reference
from tests.evaluation.small import TYPES, Row, dataset

CUT = 20
ANYBODY = np.arange(4)


def log_of(rng: np.random.Generator) -> list[Row]:
    return [
        (int(rng.integers(4)), int(rng.integers(12)), str(rng.choice(TYPES)), 30 * float(day))
        for day in rng.random(200)
    ]


@pytest.mark.parametrize("seed", range(3))
def test_a_baseline_vector_is_the_specifications_of_what_was_known(seed: int):
    rng = np.random.default_rng(seed)
    log = sorted(log_of(rng), key=lambda row: row[3])
    vectors = np.zeros((12, 384), np.float32)
    vectors[:, :5] = rng.normal(size=(12, 5))
    data = dataset(log, vectors.tolist())
    split = at_share(data, 0.7)
    found = tastes_of(data, split, BASELINE, ANYBODY, several=False)
    begun = datetime(2000, 1, 1, tzinfo=UTC)
    cut = begun + timedelta(microseconds=int(split.cuts[0]))
    actions = [
        reference.Action(number, user, post, kind, begun + timedelta(microseconds=int(day * DAY)))
        for number, (user, post, kind, day) in enumerate(log)
    ]
    known = [action for action in actions if action.created_at < cut]
    for user in ANYBODY.tolist():
        mine = [action for action in known if action.user_id == user]
        embeddings = dict(enumerate(vectors.tolist()))
        expected = reference.interest_vector(mine, embeddings, cut, minimum=1)
        assert found.vectors[user] == pytest.approx(expected, abs=1e-6)


def test_centring_takes_off_the_mean_of_the_candidates_only():
    plane = [(1.0, 0.0), (0.0, 1.0), (-1.0, 0.0)]
    log: list[Row] = [(0, 0, "like_post", 1), (0, 1, "like_post", 9)]
    data = dataset(log, plane, created=[0, 0, 9])
    split = at_share(data, 0.5)
    assert mean_of(data, split).tolist() == [0.5, 0.5]
    found = tastes_of(data, split, CENTRED, np.array([0]), several=False)
    assert found.vectors[0] == pytest.approx([0.5**0.5, -(0.5**0.5)])
    assert found.centres[0] == pytest.approx(0.0)


def test_each_user_is_as_old_as_at_the_own_cut():
    """Two users who did the same a year apart get the same vector, also where age bends weights."""
    plane = [(1.0, 0.0), (0.0, 1.0), (-1.0, 0.0)]
    log: list[Row] = []
    for user, begun in enumerate((0, 365)):
        log += [(user, post, "like_post", begun + day) for post, day in ((0, 1), (1, 40), (2, 50))]
    data = dataset(log, plane)
    scheme = replace(DECAY, saturated=True)
    found = tastes_of(data, user_by_user(data, 0.8), scheme, np.arange(2), several=False)
    assert found.vectors[0] == pytest.approx(found.vectors[1])
    assert found.posts.tolist() == [2, 2]
    older, younger = (np.log1p(5 * 2 ** (-age / 30)) for age in (49, 10))
    assert found.vectors[0, 1] / found.vectors[0, 0] == pytest.approx(younger / older)


def test_a_post_scores_by_the_nearest_interest_above_its_centre():
    plane = [(1.0, 0.0), (0.0, 1.0), (0.6, 0.8)]
    data = dataset([(2, 0, "like_post", 1)], plane)
    tastes = Tastes(
        np.array([0, 0, 2]),
        np.array([(1.0, 0.0), (0.0, 1.0), (0.0, 1.0)]),
        np.array([0.5, 0.0, 0.25]),
        np.array([2, 0, 1]),
        np.array([True, False, True]),
    )
    score = scores(data, tastes)
    expected = [[0.5, 1.0, 0.8], [0.0, 0.0, 0.0], [-0.25, 0.75, 0.55]]
    assert score(0, 3) == pytest.approx(np.array(expected))
    assert score(2, 3) == pytest.approx(np.array(expected[2:]))
    assert score(1, 2) == pytest.approx(np.array(expected[1:2]))


def test_interests_of_the_real_core_beat_the_one_vector_between_them():
    """Half of the posts point one way, half another; the mean of both is neither."""
    rng = np.random.default_rng(4)
    vectors = 0.1 * rng.normal(size=(61, 8))
    vectors[:30, 0] += 1
    vectors[30:60, 1] += 1
    vectors[60] = 0.0
    vectors[60, 2] = 1.0
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    log: list[Row] = [(0, post, "like_post", post % 7) for post in range(60)]
    log.append((0, 60, "view_post", 10))
    data = dataset(log, vectors.tolist())
    split = at_share(data, 0.99)
    scheme = replace(CENTRED, interests=4, long_history=50)
    several = Variant("several", scheme, several=True).tastes(data, split, np.array([0]))
    single = Variant("single", scheme).tastes(data, split, np.array([0]))
    assert len(single.vectors) == 1
    assert len(several.vectors) == 2
    assert (several.vectors @ vectors[[0, 30]].T).max(axis=0).min() > 0.6
    assert (single.vectors @ vectors[[0, 30]].T).max(axis=0).min() < 0.3


def test_the_strongest_direction_taken_off_leaves_no_trace_in_a_vector():
    rng = np.random.default_rng(4)
    vectors = rng.normal(size=(40, 6)) * np.array([5, 1, 1, 1, 1, 1])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    log: list[Row] = [(user, int(rng.integers(40)), "like_post", 1) for user in range(4)] * 3
    data = dataset([*log, (0, 1, "like_post", 9)], vectors.tolist())
    split = at_share(data, 0.99)
    found = Variant("stripped", CENTRED, stripped=True).tastes(data, split, ANYBODY)
    spread = vectors - vectors.mean(axis=0)
    strongest = np.linalg.svd(spread)[2][0]
    assert abs(strongest[0]) > 0.9
    assert found.vectors @ strongest == pytest.approx(np.zeros(4), abs=1e-6)
    assert np.linalg.norm(found.vectors, axis=1) == pytest.approx(np.ones(4))
