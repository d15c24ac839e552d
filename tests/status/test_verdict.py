"""Whether all is well, said as the alarms would."""

import re
from dataclasses import replace
from datetime import timedelta

import pytest
import yaml

from dev.stack import ROOT
from lib.status import verdict
from lib.status.status import Backlog, Outcomes, Queue, Status
from lib.status.verdict import State, judge
from tests.status.healthy import AT, HEALTHY, RUNS, run, work

SCHEDULE = HEALTHY.queue.schedule


def newest(status: Status, **changes: object) -> Status:
    return replace(status, runs=(replace(status.runs[0], **changes), *status.runs[1:]))


def later(status: Status, **by: float) -> Status:
    return replace(status, at=AT + timedelta(**by))


def worked(**changes: object) -> Status:
    return newest(HEALTHY, work=work(**changes))


OPEN = newest(HEALTHY, finished_at=None, progressed_at=AT - timedelta(minutes=19))
WELL: dict[str, Status] = {
    "all is well": HEALTHY,
    "a run in progress": OPEN,
    "few failures": worked(outcomes=Outcomes(processed=1, failed=20)),
    "few retries": worked(retries=20),
    "a day's backlog": replace(HEALTHY, backlog=Backlog(50_000, 100, 100_000)),
    "nearly late": later(HEALTHY, minutes=119),
}
WRONG: dict[str, tuple[Status, State, str]] = {
    "QStash silent": (
        replace(HEALTHY, queue=Queue("timed out", None, None)),
        State.LOOK,
        "could not be asked",
    ),
    "no schedule": (
        replace(HEALTHY, queue=Queue(None, None, 0)),
        State.BROKEN,
        "no schedule of ours",
    ),
    "paused": (
        replace(HEALTHY, queue=Queue(None, replace(SCHEDULE, paused=True), 0)),
        State.BROKEN,
        "is paused",
    ),
    "never ran": (replace(HEALTHY, runs=()), State.LOOK, "no run yet"),
    "not planned": (later(HEALTHY, minutes=121), State.BROKEN, "two and a half hours"),
    "stuck": (
        newest(HEALTHY, finished_at=None, progressed_at=AT - timedelta(minutes=21)),
        State.LOOK,
        "no progress",
    ),
    "users fail": (
        worked(outcomes=Outcomes(processed=1, failed=21)),
        State.LOOK,
        "21 users failed",
    ),
    "pages fail": (worked(failed_pages=1), State.LOOK, "gave up on 1 pages"),
    "retries": (worked(retries=21), State.LOOK, "21 deliveries"),
    "dead letters": (
        replace(HEALTHY, queue=replace(HEALTHY.queue, dead_letters=3)),
        State.LOOK,
        "3 dead letters",
    ),
    "backlog": (replace(HEALTHY, backlog=Backlog(50_001, 0, 100_000)), State.LOOK, "50,001 users"),
}


@pytest.mark.parametrize("name", WELL)
def test_what_is_usual_is_well(name: str):
    found = judge(WELL[name])
    assert (found.state, found.concerns) == (State.WELL, ())


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_named_alone_and_says_what_to_type(name: str):
    status, state, text = WRONG[name]
    found = judge(status)
    [concern] = found.concerns
    assert (found.state, concern.state) == (state, state)
    assert text in concern.text
    assert concern.remedy


def test_vectors_that_are_behind_are_broken_whatever_is_under_way():
    old = run(1, timedelta(seconds=verdict.STALE_SECONDS + 1))
    under_way = replace(RUNS[0], finished_at=None, progressed_at=AT)
    found = judge(replace(HEALTHY, runs=(under_way, old)))
    assert found.state is State.BROKEN
    assert ["vectors are behind" in one.text for one in found.concerns] == [True]


def test_worst_comes_first():
    spoilt = replace(worked(retries=21), queue=Queue(None, None, 4))
    states = [one.state for one in judge(spoilt).concerns]
    assert states == [State.BROKEN, State.LOOK, State.LOOK]


@pytest.mark.parametrize(
    ("alarm", "bound"),
    [
        ("RunOverdue", verdict.STALE_SECONDS),
        ("NoTick", verdict.UNPLANNED_SECONDS),
        ("RunStuck", verdict.IDLE_SECONDS),
        ("BacklogGrows", verdict.MOST_DUE),
        ("UsersFail", verdict.MOST_FAILED),
        ("ManyRetries", verdict.MOST_RETRIES),
    ],
)
def test_bounds_are_those_of_the_alarms(alarm: str, bound: int):
    document = yaml.safe_load((ROOT / "docs" / "alarms.yaml").read_text())
    rules = {rule["alert"]: rule["expr"] for group in document["groups"] for rule in group["rules"]}
    assert str(bound) in re.findall(r"> ([0-9]+)", rules[alarm])
