"""What QStash's schedule for this system should say, and what it does."""

import base64
from dataclasses import dataclass, fields

from qstash.schedule import Schedule as LiveSchedule

from lib.errors import SettingError
from lib.qstash.delivery import RETRIES, destination, failure_callback
from lib.qstash.delivery import SCHEDULE_ID as SCHEDULE_ID  # noqa: PLC0414  # commands know it from here
from lib.qstash.message import Start, encode
from lib.settings import QueueSettings

EVERY_TWO_HOURS = "0 */2 * * *"


@dataclass(frozen=True)
class Schedule:
    """When a message is published, and where to."""

    cron: str
    destination: str
    method: str
    body: bytes
    retries: int
    failure_callback: str | None
    paused: bool


def wanted(settings: QueueSettings, cron: str = EVERY_TWO_HOURS) -> Schedule:
    """Return the schedule that starts runs of this deployment; `cron` is in UTC.

    SettingError if `cron` could not travel in a header; QStash judges the rest of it.
    """
    if not cron.strip() or not cron.isascii() or not cron.isprintable():
        raise SettingError(f"the cron expression must be like {EVERY_TWO_HOURS!r}, got {cron!r}")
    return Schedule(
        cron=cron,
        destination=destination(settings.app_url),
        method="POST",
        body=encode(Start()).encode(),
        retries=RETRIES,
        failure_callback=failure_callback(settings.app_url),
        paused=False,
    )


def live(schedule: LiveSchedule) -> Schedule:
    """Return what QStash says it keeps; ValueError if its body is no base64."""
    body = schedule.body.encode() if schedule.body else b""
    if schedule.body_base64:
        body = base64.b64decode(schedule.body_base64, validate=True)
    return Schedule(
        cron=schedule.cron,
        destination=schedule.destination,
        method=schedule.method,
        body=body,
        retries=schedule.retries,
        failure_callback=schedule.failure_callback or None,
        paused=schedule.paused,
    )


def differences(wanted: Schedule, live: Schedule) -> tuple[str, ...]:
    """Return a line for each field in which `live` is not as `wanted`."""
    pairs = [
        (field.name, getattr(wanted, field.name), getattr(live, field.name))
        for field in fields(Schedule)
    ]
    return tuple(
        f"{name.replace('_', ' ')}: found {found!r}, wanted {should!r}"
        for name, should, found in pairs
        if should != found
    )
