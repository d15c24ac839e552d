"""Durations as QStash writes them: `10s`, `2m`, `1d10h30m`."""

import re

SECONDS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
LONGEST = 366 * SECONDS["d"]
_PART = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)(ms|[dhms])", re.ASCII)
_WHOLE = re.compile(rf"(?:{_PART.pattern}){{1,5}}", re.ASCII)


def parse_duration(text: str) -> float:
    """Return the seconds in `text`, at most a year; ValueError for anything else."""
    if not _WHOLE.fullmatch(text):
        raise ValueError(f"expected a duration such as 10s or 1d10h30m, got {text[:40]!r}")
    seconds = sum(float(value) * SECONDS[unit] for value, unit in _PART.findall(text))
    if seconds > LONGEST:
        raise ValueError(f"expected a duration of at most a year, got {text[:40]!r}")
    return seconds
