"""How the system is doing: all that the status page, its JSON and the metrics show."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from lib.status.histogram import Histogram


@dataclass(frozen=True)
class Outcomes:
    """How many users came to what: a vector, none for a reason, a failure."""

    processed: int = 0
    few_posts: int = 0
    cancelled_out: int = 0
    gone: int = 0
    opted_out: int = 0
    failed: int = 0

    @property
    def total(self) -> int:
        """Users done with."""
        return self.skipped + self.processed + self.failed

    @property
    def skipped(self) -> int:
        """Users who get no vector, and nothing is wrong."""
        return self.few_posts + self.cancelled_out + self.gone + self.opted_out


@dataclass(frozen=True)
class Phases:
    """Where the functions' time went, in seconds, summed over slices that go side by side."""

    read: float = 0.0
    aggregate: float = 0.0
    write: float = 0.0
    publish: float = 0.0
    cache: float = 0.0


@dataclass(frozen=True)
class Arm:
    """How many vectors were made that are stored as of this `model_version`.

    Without an experiment there is one, and more while a scheme or a mean changes. `scheme`: that
    made them, as `name@version`. `name`: of the arm, as EMBEDDING_EXPERIMENT has it; None where no
    arm of the experiment under way makes such vectors.
    """

    model_version: str
    vectors: int
    scheme: str
    name: str | None


@dataclass(frozen=True)
class Work:
    """What pages did: in one run, or in all there ever were.

    `pages`: which have nobody left. `retries`: deliveries that were another attempt. `repeats`:
    deliveries of pages that were done already. `unknown_actions`, `unusable_posts`: what was passed
    over. `drift`: 1 - cosine of a user's new and former vector of one model_version, of a sample of
    users. `failed_pages`: which QStash gave up on.
    """

    pages: int
    outcomes: Outcomes
    phases: Phases
    retries: int
    repeats: int
    unknown_actions: int
    unusable_posts: int
    failed_pages: int
    drift: Histogram


@dataclass(frozen=True)
class Freshness:
    """How a sample of a run's users stood as it was planned: before it did anything.

    `sampled`: users looked at, up to 1,000; `covered`: those of them who had a vector. `age`: of
    their vectors, in seconds.
    """

    sampled: int
    covered: int
    age: Histogram

    @property
    def coverage(self) -> float | None:
        """The share of those sampled who had a vector; None without any."""
        return self.covered / self.sampled if self.sampled else None


@dataclass(frozen=True)
class RunStatus:
    """One run. `users` and `pages`: on its list as it was planned; `work`: what is done of it."""

    id: UUID
    number: int
    window_start: datetime
    window_end: datetime
    progressed_at: datetime
    finished_at: datetime | None
    absorbed: bool
    chains: int
    users: int
    pages: int
    work: Work
    freshness: Freshness
    arms: tuple[Arm, ...]

    @property
    def users_left(self) -> int:
        """Users still to do; of a run that was absorbed, whom the next one took over."""
        return max(0, self.users - self.work.outcomes.total)

    @property
    def seconds(self) -> float:
        """From the plan until it finished, or last made progress."""
        return ((self.finished_at or self.progressed_at) - self.window_end).total_seconds()

    @property
    def users_per_second(self) -> float | None:
        """Users done with a second; None of a run that took no time."""
        return self.work.outcomes.total / self.seconds if self.seconds > 0 else None


@dataclass(frozen=True)
class Totals:
    """Since the beginning, whatever was pruned: these only ever grow.

    `finished`: runs that came to their end; `absorbed`: those the next one took over. `hits`,
    `misses`, `troubles`: of asking Redis, as far as instances have reported it.
    """

    finished: int
    absorbed: int
    work: Work
    hits: int
    misses: int
    troubles: int


@dataclass(frozen=True)
class Backlog:
    """What waits for the next run, each counted up to `most`.

    `due`: notes of users it takes though the log does not show them; `failing`: users whose data is
    at fault.
    """

    due: int
    failing: int
    most: int


@dataclass(frozen=True)
class Failure:
    """One kind of error among the latest 1,000 failures: how many users, the latest and its text.

    `kind`: the error's name; `example`: the whole reason, which quotes no data.
    """

    kind: str
    users: int
    latest: datetime
    example: str


@dataclass(frozen=True)
class FailedPage:
    """A page that QStash gave up on, and the last status code."""

    run: int
    page: int
    status: int | None
    failed_at: datetime


@dataclass(frozen=True)
class Schedule:
    """The schedule as QStash has it."""

    cron: str
    paused: bool
    last: datetime | None
    next: datetime | None


@dataclass(frozen=True)
class Queue:
    """What QStash says. `trouble`: why it could not be asked, and then nothing else is known.

    `schedule`: None where it has none. `dead_letters`: our messages that it gave up, up to 100.
    """

    trouble: str | None
    schedule: Schedule | None
    dead_letters: int | None


@dataclass(frozen=True)
class Keyspace:
    """Reads as Redis counts them, whoever asked and for whatever, since its server began.

    `trouble`: why it does not tell, and then both are None.
    """

    trouble: str | None
    hits: int | None
    misses: int | None


@dataclass(frozen=True)
class Status:
    """All of it, `at` one moment of the database's clock. `runs`: the newest first, up to 24."""

    at: datetime
    runs: tuple[RunStatus, ...]
    totals: Totals
    backlog: Backlog
    failures: tuple[Failure, ...]
    failed_pages: tuple[FailedPage, ...]
    queue: Queue
    keyspace: Keyspace

    @property
    def last_finished(self) -> RunStatus | None:
        """The newest run that came to its end; None without any."""
        return next((run for run in self.runs if run.finished_at and not run.absorbed), None)

    @property
    def staleness(self) -> float | None:
        """Seconds since the last finished run was planned: what was done before is in the vectors.

        None without any such run.
        """
        last = self.last_finished
        return (self.at - last.window_end).total_seconds() if last else None
