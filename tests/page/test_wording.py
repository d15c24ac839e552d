"""Figures as a person reads them."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lib.page import wording

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
DASH = "\N{EN DASH}"


@pytest.mark.parametrize(
    ("said", "value", "text"),
    [
        (wording.count, 1234567, "1,234,567"),
        (wording.count, None, DASH),
        (wording.short, 0, "0"),
        (wording.short, 999, "999"),
        (wording.short, 1500, "1.5k"),
        (wording.short, 2_000_000, "2M"),
        (wording.share, 0.9731, "97.3 %"),
        (wording.share, None, DASH),
        (wording.percent, 0.5, "50 %"),
        (wording.rate, 3416.4, "3,416/s"),
        (wording.rate, None, DASH),
        (wording.span, None, DASH),
        (wording.span, 4.24, "4.2 s"),
        (wording.span, 119, "119 s"),
        (wording.span, 120, "2 min"),
        (wording.span, 7199, "120 min"),
        (wording.span, 7200, "2 h"),
        (wording.span, 7500, "2 h 5 min"),
        (wording.span, 40_000, "11 h"),
        (wording.span, 90 * 86_400, "90 days"),
        (wording.clock, NOW, "11-26 12:00"),
        (wording.clock, None, DASH),
    ],
)
def test_figure_is_spelt_as_exactly_as_matters(said: Callable[[Any], str], value: Any, text: str):
    assert said(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(-180, "3 min ago"), (7200, "in 2 h"), (0, "0.0 s ago")]
)
def test_age_says_whether_it_was_or_will_be(seconds: float, text: str):
    assert wording.age(NOW + timedelta(seconds=seconds), NOW) == text
    assert wording.age(None, NOW) == DASH
