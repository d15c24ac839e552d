import pytest

from bench.phases import Span, covered, statements
from bench.spread import Measure, Spread, side_by_side
from bench.table import WIDTH, Table, verdict, wrapped
from bench.target import Target, most, times
from lib.store.runs import CLOCK


def test_table_is_markdown_with_a_title_and_a_note():
    table = Table("T", ("", "ms"), [("a", "1"), ("b", "2")], "said")
    assert table.markdown() == ("## T\n\n|  | ms |\n| --- | ---: |\n| a | 1 |\n| b | 2 |\n\nsaid\n")


def test_wrapped_keeps_paragraphs_and_bounds_lines():
    text = wrapped("\n" + "word " * 100 + "\n\n![a](b.svg)")
    assert text.endswith("word\n\n![a](b.svg)")
    assert max(map(len, text.splitlines())) <= WIDTH


@pytest.mark.parametrize(
    ("target", "kept"),
    [
        pytest.param(times("x", 15, 15.0), True, id="as many times"),
        pytest.param(times("x", 15, 14.9), False, id="fewer times"),
        pytest.param(most("x", 12, 12, 0), True, id="as much"),
        pytest.param(most("x", 1.2, 1.21, 2), False, id="more"),
    ],
)
def test_target_that_is_missed_says_so(target: Target, *, kept: bool):
    assert target.kept is kept
    assert ("missed" in verdict([target]).markdown()) is not kept


async def test_side_by_side_takes_turns():
    taken = []

    def measure(name: str, *values: float) -> Measure:
        left = iter(values)

        async def once() -> float:
            taken.append(name)
            return next(left)

        return once

    spreads = await side_by_side(3, {"a": measure("a", 3, 1, 2), "b": measure("b", 5, 5, 6)})
    assert taken == ["a", "b"] * 3
    assert spreads == {"a": Spread(2, 1, 3), "b": Spread(5, 5, 6)}


def test_covered_counts_time_once_however_many_things_were_under_way():
    spans = [Span("a", 10, 14), Span("b", 11, 12), Span("c", 13, 15), Span("d", 20, 21)]
    assert covered(spans) == 6


def test_statements_are_known_by_the_names_of_their_constants():
    assert statements()[CLOCK] == "CLOCK"
