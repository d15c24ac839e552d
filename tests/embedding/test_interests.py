"""Several interests: planted ones are found, and what is found keeps its promises."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from lib.embedding.clusters import CLOSEST, SMALLEST
from lib.embedding.interests import CONSIDERED, STACK, InterestRows, gather, interests_of

DIMENSIONS = 384
LIMIT = 4
IDS = np.array([place.to_bytes(16, "big") for place in range(2000)], dtype="V16")
IN_ORDER = np.arange(2000)

type Floats = NDArray[np.float32]
type Weights = NDArray[np.float64]


@dataclass(frozen=True)
class Interests:
    """One user's, strongest first; `medoids`: the rows of the posts."""

    vectors: Floats
    shares: Weights
    medoids: list[int]


def planted(
    shares: list[float], posts: int, seed: int = 1, noise: float = 0.0, signal: float = 0.5
) -> tuple[Floats, Weights, Floats, NDArray[np.intp]]:
    """Make posts of unit length about topics, which share the posts out; some about none of them.

    `signal`: of a post's squared length, what it has of its topic. Returns the posts, their
    weights, the topics, and which topic each post is about, -1 for none.
    """
    random = np.random.default_rng(seed)
    topics = directions(random, len(shares))
    about = np.repeat(np.arange(len(shares)), np.round(np.array(shares) * posts).astype(int))
    about = np.append(about, np.full(round(noise * posts), -1))
    random.shuffle(about)
    parts = directions(random, len(about))
    of_topic = about >= 0
    parts[of_topic] *= np.sqrt(1 - signal)
    parts[of_topic] += np.sqrt(signal) * topics[about[of_topic]]
    return parts, random.uniform(1, 3, len(about)), topics, about


def directions(random: np.random.Generator, count: int) -> Floats:
    vectors = random.normal(size=(count, DIMENSIONS))
    unit: Floats = (vectors / np.linalg.norm(vectors, axis=1)[:, None]).astype(np.float32)
    return unit


def nearest(parts: Floats, vector: Floats) -> int:
    """Which row has the highest cosine with the vector."""
    return int((parts @ vector / np.linalg.norm(parts, axis=1)).argmax())


def own_vector(parts: Floats, weights: Weights) -> Floats:
    """What the user's vector is, or an odd one where the posts cancel out."""
    total = np.maximum(weights, 0) @ parts.astype(np.float64)
    length = np.linalg.norm(total)
    unit: Floats = np.eye(len(total), dtype=np.float32)[0]
    return (total / length).astype(np.float32) if length > 0 else unit


def all_interests(
    users: list[tuple[Floats, Weights]], mean: Weights | None = None, limit: int = LIMIT
) -> list[Interests]:
    """Find the interests of users whose posts these are."""
    splits = []
    for parts, weights in users:
        own, places = own_vector(parts, weights), IN_ORDER[: len(parts)]
        splits.append(interests_of(parts, places, weights, mean, own, limit))
    starts = np.cumsum([0, *(len(weights) for _, weights in users)])[:-1]
    rows = gather(np.arange(len(users)), starts, splits, IDS, mean, users[0][0].shape[1])
    medoids = np.searchsorted(IDS, rows.medoids) - starts[rows.owners]
    return [
        Interests(rows.vectors[mine], rows.shares[mine], medoids[mine].tolist())
        for mine in (rows.owners == user for user in range(len(users)))
    ]


def find_interests(
    parts: Floats, weights: Weights, mean: Weights | None = None, limit: int = LIMIT
) -> Interests:
    return all_interests([(parts, weights)], mean, limit)[0]


def assert_whole(split: Interests, parts: Floats, weights: Weights) -> None:
    """Hold what is promised of every split."""
    k = len(split.shares)
    assert 1 <= k <= LIMIT
    assert split.vectors.shape == (k, parts.shape[1])
    assert split.vectors.dtype == np.float32
    assert np.linalg.norm(split.vectors.astype(np.float64), axis=1) == pytest.approx(1, abs=1e-6)
    assert split.shares.sum() == pytest.approx(1)
    assert (np.diff(split.shares) <= 1e-12).all()
    assert len(set(split.medoids)) == k
    assert (weights[split.medoids] > 0).all()
    if k > 1:
        assert (split.shares >= SMALLEST - 1e-6).all()
        between = split.vectors @ split.vectors.T
        assert (between[~np.eye(k, dtype=bool)] < CLOSEST + 1e-4).all()


@pytest.mark.parametrize("noise", [0.0, 0.1], ids=["pure", "with posts about something else"])
@pytest.mark.parametrize(
    "shares",
    [[1.0], [0.5, 0.5], [0.8, 0.2], [0.4, 0.35, 0.25], [0.35, 0.3, 0.19, 0.16]],
    ids=["one", "two", "one and a smaller one", "three", "four"],
)
def test_planted_interests_are_recovered(shares: list[float], noise: float):
    for seed in range(5):
        parts, weights, topics, about = planted(shares, CONSIDERED, seed, noise)
        split = find_interests(parts, weights)
        assert_whole(split, parts, weights)
        cosines = split.vectors @ topics.T
        found = cosines.argmax(axis=1)
        assert sorted(found) == list(range(len(shares)))
        assert cosines.max(axis=1).min() > 0.9
        of_topic = np.bincount(about[about >= 0], weights[about >= 0])
        assert split.shares == pytest.approx(of_topic[found] / of_topic.sum(), abs=0.12)
        assert (about[split.medoids] == found).all()


def test_an_interest_under_the_smallest_share_goes_to_the_others():
    parts, weights, topics, _ = planted([0.6, 0.35, 0.05], 100)
    split = find_interests(parts, weights)
    assert_whole(split, parts, weights)
    assert (split.vectors @ topics.T).argmax(axis=1).tolist() == [0, 1]


def test_a_medoid_is_the_nearest_of_its_interests_posts():
    parts, weights, topics, about = planted([0.6, 0.4], CONSIDERED)
    split = find_interests(parts, weights)
    for vector, medoid in zip(split.vectors, split.medoids, strict=True):
        topic = (topics @ vector).argmax()
        cosines = np.where(about == topic, parts @ vector / np.linalg.norm(parts, axis=1), -2)
        assert medoid == cosines.argmax()


def test_a_vector_is_the_weighted_sum_of_its_interests_posts():
    parts, weights, topics, about = planted([0.6, 0.4], CONSIDERED)
    split = find_interests(parts, weights)
    for vector, share in zip(split.vectors, split.shares, strict=True):
        mine = about == (topics @ vector).argmax()
        total = weights[mine] @ parts[mine].astype(np.float64)
        assert vector == pytest.approx(total / np.linalg.norm(total), abs=1e-5)
        assert share == pytest.approx(weights[mine].sum() / weights.sum())


def test_only_the_strongest_posts_are_considered():
    parts, weights, _, _ = planted([0.6, 0.4], CONSIDERED)
    more, _, _, _ = planted([1.0], 60, seed=9)
    order = np.random.default_rng(3).permutation(len(parts) + len(more))
    together = np.concatenate([parts, more])[order]
    split = find_interests(together, np.append(weights, np.full(60, 0.5))[order])
    alone = find_interests(parts, weights)
    assert split.shares == pytest.approx(alone.shares)
    assert split.vectors == pytest.approx(alone.vectors, abs=1e-5)
    assert together[split.medoids] == pytest.approx(parts[alone.medoids])


def test_of_equally_strong_posts_the_first_are_considered():
    parts, _, _, _ = planted([0.5, 0.5], CONSIDERED + 40)
    split = find_interests(parts, np.ones(len(parts)))
    first = find_interests(parts[:CONSIDERED], np.ones(CONSIDERED))
    assert split.vectors == pytest.approx(first.vectors, abs=1e-5)
    assert split.medoids == first.medoids


@given(
    st.lists(st.floats(0.1, 1), min_size=1, max_size=5),
    st.integers(1, 150),
    st.floats(0, 1),
    st.integers(0, 10**6),
)
def test_the_order_of_the_posts_and_the_scale_of_weights_do_not_matter(
    shares: list[float], posts: int, noise: float, seed: int
):
    total = sum(shares)
    parts, weights, _, _ = planted([share / total for share in shares], posts + 5, seed, noise)
    order = np.random.default_rng(seed).permutation(len(parts))
    split = find_interests(parts, weights)
    shuffled = find_interests(parts[order], 7 * weights[order])
    assert_whole(split, parts, weights)
    assert shuffled.shares == pytest.approx(split.shares)
    assert shuffled.vectors == pytest.approx(split.vectors, abs=1e-5)
    assert order[shuffled.medoids].tolist() == split.medoids


def test_the_same_posts_make_the_same_interests_to_the_last_bit():
    parts, weights, _, _ = planted([0.4, 0.3, 0.3], 90, noise=0.3)
    first, again = (find_interests(parts.copy(), weights) for _ in range(2))
    assert first.vectors.tobytes() == again.vectors.tobytes()
    assert first.shares.tobytes() == again.shares.tobytes()
    assert first.medoids == again.medoids


whole = st.integers(-2, 2)
SCALES = [0.0, 1e-45, 1e-30, 1.0, 1e30, 1e38]


@given(st.data(), st.integers(1, 12), st.sampled_from(SCALES))
def test_whatever_the_posts_an_interest_is_a_direction(
    data: st.DataObject, posts: int, scale: float
):
    """Opposite, equal, empty, huge and tiny ones among them."""
    rows = st.lists(st.lists(whole, min_size=3, max_size=3), min_size=posts, max_size=posts)
    parts = (np.array(data.draw(rows), dtype=np.float64) * scale).astype(np.float32)
    amounts = st.sampled_from([-3.0, 1e-300, 0.5, 1.0, 2.0])
    drawn = data.draw(st.lists(amounts, min_size=posts, max_size=posts))
    weights = np.array([*drawn[1:], 1.0])
    assert_whole(find_interests(parts, weights), parts, weights)


def test_with_a_limit_of_one_the_interest_is_the_users_own_vector():
    parts, weights, _, _ = planted([0.5, 0.5], 60)
    split = find_interests(parts, weights, limit=1)
    own = own_vector(parts, weights)
    assert split.vectors.tolist() == [own.tolist()]
    assert split.shares.tolist() == [1]
    assert split.medoids == [nearest(parts, own)]


def test_with_one_topic_the_interest_is_the_users_own_vector():
    parts, weights, _, _ = planted([1.0], 60)
    split = find_interests(parts, weights)
    own = own_vector(parts, weights)
    assert split.vectors.tolist() == [own.tolist()]
    assert split.shares.tolist() == [1]
    assert split.medoids == [nearest(parts, own)]


def test_what_pushes_away_takes_no_part():
    parts, weights, _, about = planted([0.5, 0.3, 0.2], CONSIDERED)
    split = find_interests(parts, np.where(about == 2, -weights, weights))
    kept = np.flatnonzero(about != 2)
    only = find_interests(parts[kept], weights[kept])
    assert len(only.shares) == 2
    assert split.vectors == pytest.approx(only.vectors, abs=1e-6)
    assert split.medoids == kept[only.medoids].tolist()


def test_the_mean_is_taken_off_and_the_embeddings_stay_as_they_are():
    parts, weights, _, _ = planted([0.5, 0.5], 80)
    mean = np.linspace(-1, 1, DIMENSIONS)
    embeddings = (parts + mean).astype(np.float32)
    before = embeddings.copy()
    split = find_interests(embeddings, weights, mean)
    assert (embeddings == before).all()
    bare = find_interests(parts, weights)
    assert len(bare.shares) == 2
    assert split.vectors == pytest.approx(bare.vectors, abs=1e-4)
    assert split.medoids == bare.medoids


@pytest.mark.parametrize("factor", [1e-25, 1e-12, 1e-7, 1e7, 1e12, 1e25])
def test_embeddings_of_any_size_have_the_same_interests(factor: float):
    parts, weights, _, _ = planted([0.5, 0.3, 0.2], CONSIDERED)
    plain = find_interests(parts, weights)
    found = find_interests((parts.astype(np.float64) * factor).astype(np.float32), weights)
    assert_whole(found, parts, weights)
    assert len(found.shares) == 3
    assert found.shares == pytest.approx(plain.shares)
    assert found.vectors == pytest.approx(plain.vectors, abs=1e-4)
    assert found.medoids == plain.medoids


def test_a_long_post_adds_more_to_its_interest_and_is_no_nearer_to_it():
    """Each post as long as it likes: less the mean, posts of unit length are not any more."""
    parts, weights, topics, about = planted([0.5, 0.3, 0.2], CONSIDERED)
    parts *= np.random.default_rng(8).uniform(0.2, 5, (len(parts), 1)).astype(np.float32)
    found = find_interests(parts, weights)
    assert len(found.shares) == 3
    for vector, share, medoid in zip(found.vectors, found.shares, found.medoids, strict=True):
        mine = about == (topics @ vector).argmax()
        total = weights[mine] @ parts[mine].astype(np.float64)
        assert vector == pytest.approx(total / np.linalg.norm(total), abs=1e-5)
        assert share == pytest.approx(weights[mine].sum() / weights.sum())
        cosines = np.where(mine, parts @ vector / np.linalg.norm(parts, axis=1), -2)
        assert medoid == cosines.argmax()


@pytest.mark.parametrize("limit", [1, LIMIT])
def test_the_nearest_post_to_the_own_vector_is_so_without_the_mean(limit: int):
    mean = np.array([0, 3.0])
    embeddings = np.array([[0.1, 3.0], [2, 4]], dtype=np.float32)
    own = np.array([1, 0], dtype=np.float32)
    posts = IDS[:2]
    for taken_off, nearest in ((mean, 0), (None, 1)):
        split = interests_of(embeddings, IN_ORDER[:2], np.ones(2), taken_off, own, limit)
        rows = gather(np.zeros(1, np.intp), np.zeros(1, np.int64), [split], posts, None, 2)
        assert rows.medoids.tolist() == posts[[nearest]].tolist()


def test_users_found_together_have_the_interests_of_each_alone():
    """Many and few posts, one topic and several, side by side and over the edge of a stack."""
    users = [
        planted([[1.0], [0.5, 0.5], [0.4, 0.3, 0.3]][seed % 3], 3 + 2 * seed, seed, 0.1)[:2]
        for seed in range(2 * STACK + 3)
    ]
    together = all_interests(users)
    assert {len(user.shares) for user in together} >= {1, 2, 3}
    for user, found in zip(users, together, strict=True):
        alone = find_interests(*user)
        assert_whole(found, *user)
        assert found.shares == pytest.approx(alone.shares)
        assert found.vectors == pytest.approx(alone.vectors, abs=1e-5)
        assert found.medoids == alone.medoids


def rows_of_two(mean: Weights | None) -> InterestRows:
    """Two users whose posts lie in two directions, and between them one with a limit of one."""
    x, y = np.eye(2, dtype=np.float32)
    owns = [(x + y) / np.sqrt(2), y]
    vectors, xyx, xy = np.array([y, x]), np.array([1, 0, 1]), np.array([1, 0])
    several = interests_of(vectors, xyx, np.array([2.0, 1, 1]), None, owns[0], LIMIT)
    one = interests_of(vectors, xy, np.array([1.0, 3]), None, owns[1], 1)
    starts = np.array([2, 5, 7])
    return gather(np.array([1, 4, 6]), starts, [several, one, several], IDS[:10], mean, 2)


def test_interests_of_several_users_lie_end_to_end():
    rows = rows_of_two(np.array([10.0, 100.0]))
    assert rows.owners.tolist() == [1, 1, 4, 6, 6]
    assert rows.places.tolist() == [0, 1, 0, 0, 1]
    assert rows.shares.tolist() == [0.75, 0.25, 1, 0.75, 0.25]
    assert rows.medoids.tolist() == IDS[[2, 3, 6, 7, 8]].tolist()
    assert rows.centres == pytest.approx([10, 100, 100, 10, 100])
    assert rows.vectors == pytest.approx(np.array([[1, 0], [0, 1], [0, 1], [1, 0], [0, 1]]))
    assert rows.vectors.dtype == np.float32


def test_without_a_mean_centres_are_zero():
    assert rows_of_two(None).centres.tolist() == [0, 0, 0, 0, 0]


def test_of_no_users_there_are_no_interests():
    posts = np.empty(0, dtype="V16")
    rows = gather(np.empty(0, np.intp), np.empty(0, np.int64), [], posts, None, 3)
    assert rows.vectors.shape == (0, 3)
    assert len(rows.owners) == len(rows.places) == len(rows.shares) == len(rows.medoids) == 0
