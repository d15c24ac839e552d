from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from lib.errors import Invalid
from lib.web.fields import as_time, fraction, prefers_json


def _zone(offset: timedelta) -> timezone:
    return timezone(timedelta(minutes=offset // timedelta(minutes=1)))


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


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-26T10:00:00Z",
        "2026-11-26t10:00:00z",
        "2026-11-26T10:00:00.000000Z",
        "2026-11-26T15:30:00+05:30",
        "2026-11-25T10:01:00-23:59",
    ],
)
def test_time_is_read_however_rfc_3339_spells_it(text: str):
    assert as_time("since", text) == datetime(2026, 11, 26, 10, tzinfo=UTC)


@given(st.datetimes(timezones=st.timedeltas(timedelta(hours=-9), timedelta(hours=9)).map(_zone)))
def test_every_time_is_read_as_python_writes_it(time: datetime):
    if 1 < time.year < 9999:
        assert as_time("since", time.isoformat()) == time


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-26 10:00:00Z",
        "2026-11-26",
        "2026-11-26T10:00:00",
        "2026-11-26T10:00Z",
        "2026-11-26T10Z",
        "20261126T100000Z",
        "2026-W48-4T10:00:00Z",
        "2026-11-26T10:00:00,5Z",
        "2026-11-26T10:00:00+0530",
        "2026-11-26T10:00:00+05:30:01",
        "2026-11-26T24:00:00Z",
        "2026-02-30T10:00:00Z",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00",
        "\u0662\u0660\u0662\u0666-11-26T10:00:00Z",
        7,
        None,
    ],
)
def test_what_rfc_3339_does_not_spell_is_no_time(text: object):
    with pytest.raises(Invalid):
        as_time("since", text)


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", "page"),
        ("*/*", "page"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "page"),
        ("application/json", "json"),
        ("APPLICATION/JSON ; q=0.5", "json"),
        ("application/json, text/plain, */*", "json"),
        ("text/html, application/json", "page"),
        ("text/html;q=0.5, application/json;q=0.6", "json"),
        ("application/json;q=0", "page"),
        ("application/json;q=nan", "json"),
        (",;,", "page"),
    ],
)
def test_json_comes_where_it_is_wanted_more_than_a_page(accept: str, form: str):
    headers = [(b"accept", accept.encode())]
    wanted = prefers_json(Request({"type": "http", "headers": headers}))
    assert wanted is (form == "json")
