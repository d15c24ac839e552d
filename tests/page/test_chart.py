"""Charts' geometry, beside the figures that it stands for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.page.chart import LEFT, PLOT_HEIGHT, TOP, WIDTH, Series, bars, lines, nice

AMOUNTS = st.floats(0, 1e12, allow_nan=False)
FLOOR = TOP + PLOT_HEIGHT


def spelt(value: float) -> str:
    return f"{value:g}"


@given(st.lists(st.tuples(AMOUNTS, AMOUNTS), min_size=1, max_size=24))
def test_heights_of_bars_are_as_their_figures(rows: list[tuple[float, float]]):
    labels = [str(at) for at in range(len(rows))]
    series = [Series("a", tuple(row[0] for row in rows)), Series("b", tuple(r[1] for r in rows))]
    drawn = bars("title", labels, series, spelt)
    top = nice(max(map(sum, rows)))
    wanted = [PLOT_HEIGHT * value / top for row in rows for value in row if value]
    assert [bar.height for bar in drawn.bars] == pytest.approx(wanted)
    for bar in drawn.bars:
        assert LEFT <= bar.x <= bar.x + bar.width <= WIDTH
        assert TOP - 0.01 <= bar.y <= bar.y + bar.height <= FLOOR + 0.01


def test_bars_of_one_place_stand_on_each_other():
    drawn = bars("title", ["x"], [Series("a", (1.0,)), Series("b", (3.0,))], spelt)
    low, high = drawn.bars
    assert low.y + low.height == pytest.approx(FLOOR)
    assert high.y + high.height == pytest.approx(low.y)
    assert [bar.text for bar in drawn.bars] == ["x: 1 a", "x: 3 b"]


def test_line_has_a_gap_where_there_is_no_figure():
    labels = ["1", "2", "3", "4"]
    drawn = lines("title", labels, [Series("a", (1.0, None, 2.0, 4.0))], spelt)
    [line] = drawn.lines
    assert [part for part in line.path if part.isalpha()] == ["M", "M", "L"]
    heights = [FLOOR - y for _, y, _ in line.dots]
    assert heights == pytest.approx([PLOT_HEIGHT * part / 5 for part in (1, 2, 4)])
    assert [row[1] for row in drawn.rows] == ["1", "\N{EN DASH}", "2", "4"]


@given(st.floats(1e-9, 1e15))
def test_axis_ends_at_the_least_round_number_that_holds_all(value: float):
    top = nice(value)
    assert value <= top <= 2.5 * value
    digits = f"{top:.2e}".split("e", maxsplit=1)[0]
    assert digits in {"1.00", "2.00", "2.50", "5.00"}


def test_next_to_nothing_is_nothing_on_an_axis():
    assert nice(5e-324) == nice(0.0) == nice(-1.0) == 1.0


def test_empty_chart_has_an_axis_and_nothing_on_it():
    for draw in (bars, lines):
        drawn = draw("title", [], [Series("a", ())], spelt)
        assert [text for _, text in drawn.ticks] == ["0", "0.5", "1"]
        assert (drawn.bars, drawn.rows, drawn.labels) == ((), (), ())


@pytest.mark.parametrize(
    ("count", "shown"), [(1, 1), (8, 8), (9, 2), (24, 2)], ids=["one", "few", "more", "many"]
)
def test_labels_stand_side_by_side_while_there_is_room(count: int, shown: int):
    labels = [f"run {at}" for at in range(count)]
    drawn = bars("title", labels, [Series("a", (1.0,) * count)], spelt)
    assert len(drawn.labels) == shown
    assert (drawn.labels[0][1], drawn.labels[-1][1]) == (labels[0], labels[-1])
