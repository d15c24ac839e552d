"""Whether all is well, in one word, and what is not: the alarms, for whoever looks."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from lib.status.status import Status

STALE_SECONDS = 15_000
UNPLANNED_SECONDS = 9000
IDLE_SECONDS = 1200
MOST_DUE = 50_000
MOST_FAILED = 20
MOST_RETRIES = 20
"""As in docs/alarms.yaml, for runs every two hours."""


class State(IntEnum):
    """How bad it is; the greater, the worse."""

    WELL = 0
    LOOK = 1
    BROKEN = 2


@dataclass(frozen=True)
class Concern:
    """What is wrong, and what to type or where to look."""

    state: State
    text: str
    remedy: str


@dataclass(frozen=True)
class Verdict:
    """Everything that is wrong, the worst first; nothing where all is well."""

    concerns: tuple[Concern, ...]

    @property
    def state(self) -> State:
        """The worst there is."""
        return max((concern.state for concern in self.concerns), default=State.WELL)


def judge(status: Status) -> Verdict:
    """Hold a status against the alarms; the database's clock is the one that counts."""
    found = [*_schedule(status), *_runs(status), *_left_over(status)]
    return Verdict(tuple(sorted(found, key=lambda concern: -concern.state)))


def _schedule(status: Status) -> Iterator[Concern]:
    queue = status.queue
    if queue.trouble:
        yield Concern(
            State.LOOK, f"QStash could not be asked: {queue.trouble}", "schedule.py doctor"
        )
    elif queue.schedule is None:
        yield Concern(State.BROKEN, "QStash has no schedule of ours: no run starts", "schedule.py")
    elif queue.schedule.paused:
        yield Concern(State.BROKEN, "the schedule is paused: no run starts", "schedule.py resume")


def _runs(status: Status) -> Iterator[Concern]:
    if not status.runs:
        yield Concern(State.LOOK, "there has been no run yet", "schedule.py trigger")
        return
    newest = status.runs[0]
    if status.staleness is not None and status.staleness > STALE_SECONDS:
        yield Concern(
            State.BROKEN,
            "no run that was planned within four hours has finished: vectors are behind",
            "look at the newest run below, then at the log of batch-process for its pages",
        )
    if (status.at - newest.window_end).total_seconds() > UNPLANNED_SECONDS:
        yield Concern(
            State.BROKEN,
            "no run has been planned for two and a half hours",
            "schedule.py --check, then schedule.py trigger",
        )
    idle = (status.at - newest.progressed_at).total_seconds()
    if newest.finished_at is None and idle > IDLE_SECONDS:
        yield Concern(
            State.LOOK,
            "the open run has made no progress for twenty minutes; the next tick absorbs it",
            "schedule.py trigger wakes it; schedule.py dlq shows what QStash gave up",
        )
    if newest.work.outcomes.failed > MOST_FAILED:
        yield Concern(
            State.LOOK,
            f"{newest.work.outcomes.failed:,} users failed in the newest run",
            "the reasons are below; schedule.py why USER",
        )
    if newest.work.failed_pages:
        yield Concern(
            State.LOOK,
            f"QStash gave up on {newest.work.failed_pages:,} pages of the newest run; their users"
            " join the next",
            "mend what the last answer names, then schedule.py trigger",
        )
    if newest.work.retries > MOST_RETRIES:
        yield Concern(
            State.LOOK,
            f"{newest.work.retries:,} deliveries in the newest run were another attempt",
            "`trouble` and `reason` in the log name what is down",
        )


def _left_over(status: Status) -> Iterator[Concern]:
    if status.queue.dead_letters:
        yield Concern(
            State.LOOK,
            f"QStash keeps {status.queue.dead_letters:,} dead letters of ours",
            "schedule.py dlq, then dlq-retry or dlq-drop",
        )
    if status.backlog.due > MOST_DUE:
        yield Concern(
            State.LOOK,
            f"{status.backlog.due:,} users wait for the next run",
            "see whether runs finish; raise PARALLEL_CHAINS if they are slow",
        )
