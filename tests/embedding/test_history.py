import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.embedding import Histories
from tests.embedding.histories import POSTS, SIGNED, Contributions, histories, record, unpack

records = st.tuples(
    st.one_of(st.sampled_from(POSTS), st.binary(min_size=16, max_size=16)),
    st.integers(-3, 3).map(float),
    st.integers(-(2**63), 2**63 - 1),
)


@settings(max_examples=100)
@given(st.lists(st.lists(records)))
def test_unpack_sums_what_draws_a_user_near_a_post_and_apart_what_pushes_away(
    users: list[list[tuple[bytes, float, int]]],
):
    read = Histories.unpack(
        [b"".join(record(*one) for one in user) for user in users], SIGNED, read_at=0
    )
    assert len(read.offsets) == len(users) + 1
    for place, user in enumerate(users):
        summed: dict[tuple[bytes, bool], tuple[float, int]] = {}
        for post, weight, at in user:
            side = post, weight < 0
            before, last = summed.get(side, (0.0, at))
            summed[side] = (before + weight, max(last, at))
        mine = slice(read.offsets[place], read.offsets[place + 1])
        found = zip(read.posts[mine], read.weights[mine], read.acted_at[mine], strict=True)
        assert [(post.tobytes(), weight, at) for post, weight, at in found] == [
            (post, weight, at) for (post, _), (weight, at) in sorted(summed.items()) if weight
        ]


@settings(max_examples=50)
@given(histories)
def test_distinct_posts_are_sorted_once_each_and_found_by_their_places(users: list[Contributions]):
    read = unpack(users)
    distinct = [post.tobytes() for post in read.distinct_posts]
    assert distinct == sorted({post for user in users for post in user})
    assert [distinct[place] for place in read.places] == [
        post for user in users for post, weight in sorted(user.items()) if weight != 0
    ]


@settings(max_examples=50)
@given(histories, st.data())
def test_count_by_user_counts_what_is_chosen(users: list[Contributions], data: st.DataObject):
    sizes = [sum(weight != 0 for weight in user.values()) for user in users]
    size = sum(sizes)
    chosen = data.draw(st.lists(st.booleans(), min_size=size, max_size=size))
    counted = unpack(users).count_by_user(np.array(chosen, dtype=np.bool_))
    rest = iter(chosen)
    assert counted.tolist() == [sum(next(rest) for _ in range(size)) for size in sizes]


def test_users_without_a_history_keep_their_places():
    read = unpack([{}, {POSTS[3]: 2.0}, {}])
    assert read.offsets.tolist() == [0, 0, 1, 1]
    assert read.count_by_user(np.array([True])).tolist() == [0, 1, 0]
