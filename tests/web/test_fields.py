import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from lib.errors import Invalid
from lib.web.fields import fraction


def asked(text: str) -> Request:
    query = f"diversity={text}".encode()
    return Request({"type": "http", "query_string": query, "headers": []})


@pytest.mark.parametrize(
    ("text", "number"),
    [("0", 0), ("1", 1), ("0.3", 0.3), (".5", 0.5), ("1e-1", 0.1), ("1E0", 1), ("1.000", 1)],
)
def test_fraction_is_read_however_it_is_spelt(text: str, number: float):
    assert fraction(asked(text), "diversity", 0.7) == number


@given(st.floats(0, 1))
def test_every_fraction_is_read_as_json_has_it(number: float):
    assert fraction(asked(repr(number)), "diversity", 0.7) == number


@given(st.text("0123456789.eE-+_ xinfa", max_size=8))
def test_what_is_no_fraction_is_refused(text: str):
    request = asked(text.replace("+", "%2B"))
    try:
        good = 0 <= float(text) <= 1 and text == text.strip(" +").replace("_", "")
        good &= not text.endswith(".") and ".e" not in text.lower()
    except ValueError:
        good = False
    if good:
        assert fraction(request, "diversity", 0.7) == float(text)
    else:
        with pytest.raises(Invalid) as refused:
            fraction(request, "diversity", 0.7)
        assert (refused.value.field, refused.value.rule) == ("diversity", "a number from 0 to 1")


def test_without_one_there_is_the_default():
    assert fraction(Request({"type": "http", "query_string": b"", "headers": []}), "x", 0.7) == 0.7
