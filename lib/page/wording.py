"""Figures as a person reads them."""

from datetime import datetime

MINUTE, HOUR, DAY = 60, 3600, 86_400
THOUSAND, MILLION = 1000, 1_000_000
TWICE = 2

NOTHING = "\N{EN DASH}"
"""What stands where there is no figure."""


def count(number: float | None) -> str:
    """Spell a whole number in full: 12,345."""
    return NOTHING if number is None else f"{number:,.0f}"


def short(number: float) -> str:
    """Spell a number for an axis: 12k, 1.5M, 0.3."""
    for size, letter in ((MILLION, "M"), (THOUSAND, "k")):
        if abs(number) >= size:
            return f"{number / size:.3g}{letter}"
    return f"{number:.3g}"


def share(part: float | None) -> str:
    """Spell a share from 0 to 1: 97.3 %."""
    return NOTHING if part is None else f"{part:.1%}".replace("%", " %")


def percent(part: float) -> str:
    """Spell a share for an axis: 50 %."""
    return f"{100 * part:.3g} %"


def rate(number: float | None) -> str:
    """Spell so many a second: 3,416/s."""
    return NOTHING if number is None else f"{number:,.0f}/s"


def span(seconds: float | None) -> str:
    """Spell a length of time, as exactly as matters: 4.2 s, 45 s, 3 min, 2 h 5 min, 3 days."""
    if seconds is None:
        return NOTHING
    if seconds < 10:  # noqa: PLR2004  # where tenths matter
        return f"{seconds:.1f} s"
    if seconds < TWICE * MINUTE:
        return f"{seconds:.0f} s"
    if seconds < TWICE * HOUR:
        return f"{seconds / MINUTE:.0f} min"
    hours, minutes = divmod(round(seconds / MINUTE), MINUTE)
    if hours < 10:  # noqa: PLR2004  # where minutes matter
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{seconds / HOUR:.0f} h" if seconds < TWICE * DAY else f"{seconds / DAY:.0f} days"


def age(moment: datetime | None, now: datetime) -> str:
    """Spell how long ago, or in how long: 3 min ago, in 2 h."""
    if moment is None:
        return NOTHING
    seconds = (now - moment).total_seconds()
    return f"{span(seconds)} ago" if seconds >= 0 else f"in {span(-seconds)}"


def clock(moment: datetime | None) -> str:
    """Spell a time in UTC, to the minute, without its year."""
    return NOTHING if moment is None else f"{moment:%m-%d %H:%M}"
