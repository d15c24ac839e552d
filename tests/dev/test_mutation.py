import pytest

from dev.mutation import PAGE, excused, place


@pytest.mark.parametrize(
    ("mutant", "function"),
    [
        ("lib.embedding.clusters.x__united__mutmut_34", "clusters._united"),
        ("lib.embedding.why.x_explain__mutmut_1", "why.explain"),
        ("lib.embedding.warm.xǁWarmVectorsǁkeep__mutmut_6", "warm.WarmVectors.keep"),
        ("lib.embedding.warm.xǁWarmVectorsǁ__init____mutmut_3", "warm.WarmVectors.__init__"),
    ],
)
def test_function_is_told_from_the_name_of_a_mutant(mutant: str, function: str):
    assert place(mutant) == function


def test_every_line_of_the_page_that_lists_a_change_is_read():
    text = PAGE.read_text()
    listed = [line for line in text.splitlines() if line.startswith("- ")]
    assert len(excused(text)) == len(listed) > 50
