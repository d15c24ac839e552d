import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.embedding import UserVectors, aggregate
from lib.embedding.aggregate import CHUNK, lengths
from lib.errors import EmbeddingError
from tests.embedding.histories import POSTS, SIGNED, Contributions, histories, of_rows, unpack

D = 4
LARGEST = float(np.finfo(np.float32).max)
SMALLEST = float(np.finfo(np.float32).smallest_subnormal)

vectors = st.lists(st.integers(-8, 8).map(lambda n: n / 8), min_size=D, max_size=D)
worlds = st.fixed_dictionaries(dict.fromkeys(POSTS, vectors))
missing = st.sets(st.sampled_from(POSTS))


def aggregated(
    users: Sequence[Contributions],
    embeddings: Mapping[bytes, Sequence[float]],
    *,
    absent: set[bytes] | frozenset[bytes] = frozenset(),
    minimum: Sequence[int] | None = None,
) -> UserVectors:
    """Aggregate as `lib.batch` does: by usability, zeros for a post without an embedding."""
    read = unpack(users)
    wanted = [post.tobytes() for post in read.distinct_posts]
    found = [[0.0] * D if post in absent else embeddings[post] for post in wanted]
    rows = np.array(found, dtype=np.float32).reshape(len(wanted), D)
    least = np.array([1] * len(users) if minimum is None else minimum, dtype=np.int64)
    return aggregate(read, of_rows(rows), SIGNED, least, None)


def expected(
    history: Contributions, embeddings: Mapping[bytes, Sequence[float]], minimum: int
) -> list[float] | None:
    total, size, positive = [0.0] * D, 0.0, 0
    for post, weight in history.items():
        if post not in embeddings or not any(embeddings[post]):
            continue
        positive += weight > 0
        size += abs(weight) * math.hypot(*embeddings[post])
        for i in range(D):
            total[i] += weight * embeddings[post][i]
    length = math.hypot(*total)
    if positive < max(minimum, 1) or length <= 1e-9 * size:
        return None
    return [x / length for x in total]


@settings(max_examples=50)
@given(histories, worlds, missing, st.lists(st.integers(0, 4), min_size=5, max_size=5))
def test_aggregate_gives_what_plain_loops_give(
    users: list[Contributions],
    world: dict[bytes, list[float]],
    absent: set[bytes],
    minimum: list[int],
):
    made = aggregated(users, world, absent=absent, minimum=minimum[: len(users)])
    there = {post: vector for post, vector in world.items() if post not in absent}
    for place, history in enumerate(users):
        wanted = expected(history, there, minimum[place])
        assert made.made[place] == (wanted is not None)
        assert made.vectors[place] == pytest.approx(wanted or [0.0] * D, abs=1e-6)
        counted = [w for post, w in history.items() if any(there.get(post, []))]
        assert made.posts[place] == sum(w > 0 for w in counted)
        # of one whom nothing draws near, nothing pushes away either
        assert made.weights[place] == (sum(counted) if max(counted, default=0) > 0 else 0)


@settings(max_examples=50)
@given(st.dictionaries(st.sampled_from(POSTS), st.integers(1, 20)), worlds, st.data())
def test_aggregate_does_not_depend_on_the_order_of_posts_and_users(
    history: dict[bytes, float], world: dict[bytes, list[float]], data: st.DataObject
):
    shuffled = dict(data.draw(st.permutations(list(history.items()))))
    other = dict.fromkeys(POSTS, 1.0)
    one = aggregated([history, other], world)
    two = aggregated([other, shuffled], world)
    assert one.made[0] == two.made[1]
    assert one.vectors[0] == pytest.approx(two.vectors[1], abs=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_aggregate_gives_vectors_of_length_one(seed: int):
    random = np.random.default_rng(seed)
    users = [
        {post: float(random.lognormal(0, 4)) for post in POSTS if random.random() < 0.7}
        for _ in range(200)
    ]
    world = {post: list(random.normal(size=D) * random.lognormal(0, 8)) for post in POSTS}
    made = aggregated(users, world)
    assert np.count_nonzero(made.made) > 150
    lengths = np.linalg.norm(made.vectors[made.made].astype(np.float64), axis=1)
    assert np.abs(lengths - 1).max() < 1e-6
    assert made.vectors.dtype == np.float32
    assert not made.vectors[~made.made].any()


def test_weighted_sum_is_the_specification_s_arithmetic():
    east, north, *_ = POSTS
    world = {east: [1.0, 0, 0, 0], north: [0, 1.0, 0, 0]}
    made = aggregated([{east: 3.0, north: 4.0}], world)
    assert made.vectors[0].tolist() == pytest.approx([0.6, 0.8, 0, 0])
    assert (made.posts[0], made.weights[0]) == (2, 7.0)


@pytest.mark.parametrize(
    ("history", "there"),
    [
        ({POSTS[0]: 2.0, POSTS[1]: 2.0}, {POSTS[0]: [1, 0, 0, 0], POSTS[1]: [-1, 0, 0, 0]}),
        ({POSTS[0]: 5.0, POSTS[1]: -5.0}, {POSTS[0]: [0, 1, 0, 0], POSTS[1]: [0, 1, 0, 0]}),
        (
            {POSTS[0]: 1.0, POSTS[1]: 2.0, POSTS[2]: 3.0},
            # 0.1 + 0.2 - 0.3: not zero to a machine, and no direction either
            {
                POSTS[0]: [0.1, 0, 0, 0],
                POSTS[1]: [0.1, 0, 0, 0],
                POSTS[2]: [-0.1, 0, 0, 0],
            },
        ),
    ],
    ids=["opposite posts", "opposite weights", "rounding noise"],
)
def test_sum_that_cancels_out_gives_no_vector(
    history: dict[bytes, float], there: dict[bytes, list[float]]
):
    made = aggregated([history], there)
    assert not made.made[0]
    assert not made.vectors.any()
    assert made.posts[0] == sum(weight > 0 for weight in history.values())


def test_noise_of_a_sum_in_floats_is_not_taken_for_a_direction():
    """The rows differ by rounding only: 1e8 times the same direction, there and back."""
    world = {POSTS[0]: [0.1, 0.2, 0.3, 0.4], POSTS[1]: [0.2, 0.4, 0.6, 0.8]}
    made = aggregated([{POSTS[0]: 1e8 * (2 + 1e-15), POSTS[1]: -1e8}], world)
    assert not made.made[0]


@pytest.mark.parametrize(
    ("row", "direction"),
    [
        ([0.0, 0.0, 0.0, 0.0], False),
        ([0.0, -0.0, 0.0, -0.0], False),
        ([1.0, math.nan, 0.0, 0.0], False),
        ([1.0, math.inf, 0.0, 0.0], False),
        ([1.0, -math.inf, 0.0, 0.0], False),
        ([math.inf, -math.inf, 0.0, 0.0], False),
        ([SMALLEST, 0.0, 0.0, 0.0], True),
        ([LARGEST, LARGEST, -LARGEST, LARGEST], True),
        ([0.6, 0.8, 0.0, 0.0], True),
    ],
    ids=str,
)
def test_usable_embedding_is_one_that_is_finite_and_not_zero(row: list[float], direction: bool):  # noqa: FBT001  # a column of the table
    assert (lengths(np.array([row], dtype=np.float32)) > 0).tolist() == [direction]


@pytest.mark.parametrize(
    "row",
    [[0.0] * D, [math.nan] * D, [1, math.inf, 0, 0], [-math.inf, math.nan, 0, 0]],
    ids=["zero", "NaN", "infinite", "both"],
)
def test_unusable_embedding_costs_only_its_post(row: list[float]):
    bad, good, other = POSTS[:3]
    world = {bad: row, good: [0.0, 1.0, 0, 0], other: [1.0, 0, 0, 0]}
    both, only, without = aggregated(
        [{bad: 9.0, good: 2.0}, {bad: 9.0}, {good: 2.0, other: 2.0}], world
    ).vectors
    assert both.tolist() == [0, 1, 0, 0]
    assert not only.any()
    assert without.tolist() == pytest.approx([math.sqrt(0.5), math.sqrt(0.5), 0, 0])


@pytest.mark.parametrize("scale", [SMALLEST, 1e-30, 1e30, LARGEST])
def test_embedding_of_any_length_gives_its_direction(scale: float):
    made = aggregated(
        [{POSTS[0]: 10.0, POSTS[1]: 10.0}], dict.fromkeys(POSTS, (scale, scale, 0, 0))
    )
    assert made.vectors[0].tolist() == pytest.approx([math.sqrt(0.5), math.sqrt(0.5), 0, 0])


@pytest.mark.parametrize("weight", [math.inf, -math.inf, math.nan], ids=str)
def test_sum_that_is_not_finite_is_an_error_of_the_data(weight: float):
    with np.errstate(invalid="ignore"), pytest.raises(EmbeddingError, match=r"length (inf|nan)$"):
        aggregated([{POSTS[0]: 1.0, POSTS[1]: weight}], dict.fromkeys(POSTS, (1.0, 1, 1, 1)))


def test_embedding_that_counts_though_it_is_not_finite_is_an_error_of_the_data():
    rows = np.array([[math.nan] * D], dtype=np.float32)
    with pytest.raises(EmbeddingError, match="expected a finite sum"):
        aggregate(
            unpack([{POSTS[0]: 1.0}]), of_rows(rows, np.array([1.0])), SIGNED, np.array([1]), None
        )


@pytest.mark.parametrize(
    ("minimum", "made"), [(0, True), (1, True), (2, True), (3, False)], ids=str
)
def test_minimum_counts_posts_of_positive_weight(minimum: int, made: bool):  # noqa: FBT001  # a column of the table
    history = {POSTS[0]: 1.0, POSTS[1]: 1.0, POSTS[2]: -0.5}
    world = {post: [1.0, i, 0, 0] for i, post in enumerate(POSTS)}
    assert aggregated([history], world, minimum=[minimum]).made[0] == made


def test_user_without_a_positive_weight_has_no_vector_whatever_the_minimum():
    made = aggregated([{POSTS[0]: -3.0}, {}], {POSTS[0]: [1.0, 0, 0, 0]}, minimum=[0, 0])
    assert not made.made.any()
    assert made.posts.tolist() == [0, 0]


def test_nobody_gives_nothing():
    made = aggregated([], {})
    assert made.vectors.shape == (0, D)
    assert len(made.made) == len(made.posts) == len(made.weights) == 0


def test_more_posts_than_are_gathered_at_a_time_are_all_in_the_sum():
    count = 2 * CHUNK + 7
    rows = np.random.default_rng(4).normal(size=(count, D)).astype(np.float32)
    posts = [place.to_bytes(16, "big") for place in range(count)]
    weights = np.arange(1, count + 1)
    history = dict(zip(posts, weights.tolist(), strict=True))
    made = aggregate(unpack([history]), of_rows(rows), SIGNED, np.array([1]), None)
    total = weights @ rows.astype(np.float64)
    assert made.vectors[0] == pytest.approx(total / np.linalg.norm(total), abs=1e-6)


SPLIT = replace(SIGNED, name="split", interests=2, long_history=4, centred=True)


def test_interests_are_of_users_with_a_long_history_and_of_their_own_posts():
    """Three users about the same two things: one has a post too few to be taken apart."""
    mean = np.array([0.5, 0.0, 3.0, 0.0])
    east, north = [1.5, 0, 3, 0], [0.5, 1.0, 3, 0]
    rows = np.array([east, north, east, north, east, north], dtype=np.float32)
    users = [
        {POSTS[0]: 4.0, POSTS[1]: 1.0, POSTS[2]: 4.0, POSTS[3]: 1.0},
        {POSTS[0]: 5.0, POSTS[1]: 5.0, POSTS[2]: 5.0, POSTS[5]: -1.0},
        {},
        {POSTS[1]: 9.0, POSTS[3]: 3.0, POSTS[4]: 3.0, POSTS[5]: 1.0, POSTS[0]: -1.0},
    ]
    order = sorted(POSTS)
    histories = unpack(users)
    posts = of_rows(rows[[POSTS.index(post) for post in order]])
    made = aggregate(histories, posts, SPLIT, np.ones(4, dtype=np.int64), mean)
    found = made.interests
    assert found is not None
    assert found.owners.tolist() == [0, 0, 1, 3, 3]
    assert found.places.tolist() == [0, 1, 0, 0, 1]
    assert found.shares.tolist() == pytest.approx([0.8, 0.2, 1, 13 / 16, 3 / 16])
    east_only, north_only = [1, 0, 0, 0], [0, 1, 0, 0]
    wanted = [east_only, north_only, made.vectors[1].tolist(), north_only, east_only]
    assert found.vectors == pytest.approx(np.array(wanted), abs=1e-6)
    assert found.centres == pytest.approx(found.vectors @ mean)
    theirs = [set(users[owner]) for owner in found.owners]
    assert all(m.tobytes() in mine for m, mine in zip(found.medoids, theirs, strict=True))
    assert made.made.tolist() == [True, True, False, True]


def test_offsets_are_the_products_with_the_mean():
    mean = np.array([0.5, 0.25, 0, 0])
    world = {POSTS[0]: [1.0, 1, 0, 0], POSTS[1]: [0, 1.0, 1, 0]}
    histories = unpack([{POSTS[0]: 2.0, POSTS[1]: 1.0}, {}])
    rows = np.array([world[post] for post in sorted(world)], dtype=np.float32)
    made = aggregate(histories, of_rows(rows), SIGNED, np.ones(2, dtype=np.int64), mean)
    total = 2 * (np.array([1, 1, 0, 0]) - mean) + np.array([0, 1, 1, 0]) - mean
    unit = total / np.linalg.norm(total)
    assert made.centres.tolist() == pytest.approx([unit @ mean, 0])


def test_posts_that_are_the_mean_but_for_rounding_give_no_direction():
    rows = np.full((1, D), 1 / 3, dtype=np.float32)
    mean = rows[0].astype(np.float64) * (1 + 3e-10)
    made = aggregate(unpack([{POSTS[0]: 3.0}]), of_rows(rows), SIGNED, np.array([1]), mean)
    assert not made.made[0]
    assert not made.vectors.any()
