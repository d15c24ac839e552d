"""The map as it is drawn: within its frame, own topics first."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.page.drawing import MARGIN, SIDE, TOPICS, draw
from lib.portrait.portrait import Dot, Map, Star
from lib.store.headings import Heading

WAYS = st.floats(-1, 1)
PLACES = st.tuples(WAYS, WAYS)


def dots(*places: tuple[float, float], own: int = 0, recommended: int = 0) -> tuple[Dot, ...]:
    """Return a post at each place: the first `own` are own, then so many recommended."""
    return tuple(
        Dot(UUID(int=at), x, y, at < own, own <= at < own + recommended)
        for at, (x, y) in enumerate(places)
    )


def nameless(_: UUID) -> Heading:
    return Heading(None, None)


@given(places=st.lists(PLACES, max_size=20), stars=st.lists(PLACES, max_size=4))
def test_everything_is_within_the_frame(
    places: list[tuple[float, float]], stars: list[tuple[float, float]]
):
    shown = tuple(Star(x, y, None) for x, y in stars)
    drawn = draw(Map(dots(*places), shown, 0.1), nameless)
    for x, y in [*((mark.x, mark.y) for mark in drawn.marks), *(star[:2] for star in drawn.stars)]:
        assert MARGIN - 1e-6 <= x <= SIDE - MARGIN + 1e-6
        assert MARGIN - 1e-6 <= y <= SIDE - MARGIN + 1e-6


def test_up_is_up_and_distances_keep_their_ratio():
    drawn = draw(Map(dots((0, 0), (0, 1), (0.5, 0)), (), 0.1), nameless)
    low, high, right = sorted(drawn.marks, key=lambda mark: (mark.x, -mark.y))
    assert high.y < low.y
    assert low.y - high.y == pytest.approx(2 * (right.x - low.x))


def test_own_topics_have_a_shape_before_recommended_ones_and_the_many():
    topics = ["own", "offered", *(["many"] * 6), *"abcdef", None]
    places = [(at / 20, 0.0) for at in range(len(topics))]
    drawn = draw(
        Map(dots(*places, own=1, recommended=1), (), 0.1),
        lambda post: Heading("title", topics[post.int]),
    )
    assert drawn.topics == ("own", "offered", "many", "a", "b")
    assert len(drawn.topics) == TOPICS
    assert drawn.others
    shapes = {mark.text.rpartition(" - ")[2]: mark.topic for mark in drawn.marks}
    assert (shapes["own"], shapes["many"], shapes["f"], shapes["title"]) == (1, 3, 0, 0)


def test_own_and_recommended_posts_are_drawn_over_the_others():
    drawn = draw(Map(dots(*[(0.0, 0.0)] * 4, own=1, recommended=1), (), 0.1), nameless)
    assert [mark.own or mark.recommended for mark in drawn.marks] == [False, False, True, True]


def test_star_says_whose_it_is():
    stars = (Star(0.0, 0.0, None), Star(0.1, 0.1, 1))
    drawn = draw(Map((), stars, 0.1), nameless)
    assert [text for _, _, text in drawn.stars] == ["the user", "interest 2"]
