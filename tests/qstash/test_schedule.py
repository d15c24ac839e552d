from dataclasses import replace
from typing import Any

import pytest
from qstash.schedule import parse_schedule_response

from lib.errors import SettingError
from lib.qstash.message import Start, parse
from lib.qstash.schedule import EVERY_TWO_HOURS, Schedule, differences, live, wanted
from lib.settings import QueueSettings

SETTINGS = QueueSettings(
    "https://qstash.example", "canary-token", "https://app.example", "canary-bypass"
)
WANTED = wanted(SETTINGS)
DESTINATION = "https://app.example/api/actions/batch-process"
CALLBACK = "https://app.example/api/actions/batch-failed"


def answered(**changed: Any) -> Schedule:
    """Return the schedule in an answer of QStash; a field changed to ... is left out."""
    usual = {
        "scheduleId": "user-embeddings",
        "cron": EVERY_TWO_HOURS,
        "createdAt": 1,
        "destination": DESTINATION,
        "method": "POST",
        "body": "{}",
        "retries": 3,
        "failureCallback": CALLBACK,
        "header": {"X-Vercel-Protection-Bypass": ["canary-bypass"]},
    }
    fields = {name: value for name, value in (usual | changed).items() if value is not ...}
    return live(parse_schedule_response(fields))


def test_wanted_starts_runs_every_two_hours():
    assert WANTED.cron == "0 */2 * * *"
    assert WANTED.destination == DESTINATION
    assert WANTED.failure_callback == CALLBACK
    assert parse(WANTED.body) == Start()
    assert not WANTED.paused


@pytest.mark.parametrize(
    "cron", ["", " ", "0 */2 * * *\r\nX: y", "0 */2 * * *\x00", "0\u00a0*/2 * * *", "0 */2 * * é"]
)
def test_wanted_refuses_a_cron_that_no_header_can_carry(cron: str):
    with pytest.raises(SettingError, match=r"^the cron expression must be "):
        wanted(SETTINGS, cron)


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"isPaused": False},
        {"callback": "https://else.example", "label": "x", "nextScheduleTime": 5},
        {"body": ..., "bodyBase64": "e30="},
    ],
    ids=["as registered", "not paused", "other fields", "body in base64"],
)
def test_differences_are_none_where_the_live_schedule_means_the_same(changed: dict[str, Any]):
    assert differences(WANTED, answered(**changed)) == ()


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"cron": "0 * * * *"}, "cron: found '0 * * * *', wanted '0 */2 * * *'"),
        (
            {"destination": "https://old.example"},
            f"destination: found 'https://old.example', wanted '{DESTINATION}'",
        ),
        ({"method": "GET"}, "method: found 'GET', wanted 'POST'"),
        ({"body": "[]"}, "body: found b'[]', wanted b'{}'"),
        ({"body": ...}, "body: found b'', wanted b'{}'"),
        ({"body": ..., "bodyBase64": "/w=="}, "body: found b'\\xff', wanted b'{}'"),
        ({"retries": 0}, "retries: found 0, wanted 3"),
        (
            {"failureCallback": "https://old.example"},
            f"failure callback: found 'https://old.example', wanted '{CALLBACK}'",
        ),
        ({"failureCallback": ...}, f"failure callback: found None, wanted '{CALLBACK}'"),
        ({"failureCallback": ""}, f"failure callback: found None, wanted '{CALLBACK}'"),
        ({"isPaused": True}, "paused: found True, wanted False"),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else "",
)
def test_differences_name_the_field_and_both_values(changed: dict[str, Any], line: str):
    assert differences(WANTED, answered(**changed)) == (line,)


def test_differences_name_every_field():
    other = Schedule("0 * * * *", "https://x.example", "PUT", b"", 0, None, paused=True)
    assert len(differences(WANTED, other)) == 7
    assert len(differences(WANTED, replace(other, retries=3, method="POST"))) == 5


def test_live_refuses_a_body_that_is_no_base64():
    with pytest.raises(ValueError, match="base64"):
        answered(bodyBase64="e 30=")


def test_schedules_hold_no_secret():
    assert "canary" not in repr(WANTED) + repr(answered()) + str(differences(WANTED, answered()))
