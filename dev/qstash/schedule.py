"""Schedules: a letter that is published whenever a cron expression says."""

from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from dev.qstash.letter import Letter
from dev.qstash.message import Message

FIELDS = 5
_ZONE = "CRON_TZ="


def next_tick(cron: str, after: float) -> float:
    """Return when `cron` fires next after a unix time.

    Five fields in UTC, or in the zone of a `CRON_TZ=Area/City ` prefix; ValueError if malformed.
    """
    zone: tzinfo = UTC
    expression = cron.strip()
    if expression.startswith(_ZONE):
        name, _, expression = expression.removeprefix(_ZONE).partition(" ")
        zone = _zone(name)
    if len(expression.split()) != FIELDS:
        raise ValueError(f"expected a cron expression of {FIELDS} fields, got {cron!r}")
    try:
        return next(CronSim(expression, datetime.fromtimestamp(after, zone))).timestamp()
    except (CronSimError, StopIteration) as error:
        raise ValueError(f"expected a cron expression that fires, got {cron!r}: {error}") from error


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, LookupError) as error:
        raise ValueError(f"expected a time zone such as Europe/Berlin, got {name!r}") from error


@dataclass(eq=False)
class Schedule:
    """A letter and its cron expression; times are unix seconds, `last` the messages of a tick."""

    schedule_id: str
    cron: str
    letter: Letter
    created: float
    next_time: float
    paused: bool = False
    last_time: float | None = None
    last: Message | None = None
