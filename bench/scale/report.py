"""What the runs came to, in words and tables."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bench.course import Course
from bench.machine import Machine
from bench.scale.storage import Size, Writing
from bench.spread import Spread
from bench.table import Table, verdict
from bench.target import Target, most

EARLY = slice(10, 20)
LATE = 10
FLAT = 1.2
STEADY = 1.1


@dataclass(frozen=True)
class Findings:
    """`courses` from few users to many; `sizes`: by number of users."""

    machine: Machine
    command: str
    seconds: float
    posts: int
    actions: int
    window: int
    page_size: int
    courses: Sequence[Course]
    sizes: Mapping[int, Mapping[str, Size]]
    writing: Writing

    @property
    def lone(self) -> list[Course]:
        """The courses that can be compared from size to size: one chain, without Redis."""
        return [course for course in self.courses if course.chains == 1 and not course.cached]


def introduction(findings: Findings) -> str:
    """Return what was measured, on what, and how to do it again."""
    return f"""# Scale

Written by `{findings.command}` in {findings.seconds / 60:.0f} min. {findings.machine}, which
Postgres, Valkey, the stand-ins and the function share. The function is one process under Vercel's
runtime, its messages come from the stand-in for QStash, and a page's time is the function's own,
from the verified message to the answer. Each user has done {findings.actions} things,
{findings.window} of them in the run's window; {findings.posts:,} posts; PAGE_SIZE
{findings.page_size}. Postgres keeps its files in memory and does not sync; autovacuum is on.
"""


def tables(findings: Findings) -> Iterator[Table]:
    """Yield every table, the verdict first."""
    yield verdict(targets(findings))
    yield _courses(findings)
    yield _sizes(findings)
    yield _writing(findings)


def targets(findings: Findings) -> Iterator[Target]:
    """Yield every target that the runs can tell of."""
    few, many = findings.lone[0], findings.lone[-1]
    early = many.median(EARLY.start, EARLY.stop)
    last = f"against the median of pages {EARLY.start} to {EARLY.stop} at {many.users:,} users:"
    yield most(f"{last} the last page", FLAT, many.pages[-1] / early, 2)
    late = many.median(-LATE, len(many.pages))
    yield most(f"{last} the median of the last {LATE}", FLAT, late / early, 2)
    warm = few.median(EARLY.start, EARLY.stop)
    whole = many.median(0, len(many.pages)) / warm
    last = f"pages {EARLY.start} to {EARLY.stop} at {few.users:,}"
    yield most(f"the median page at {many.users:,} against {last}", FLAT, whole, 2)
    yield most(
        f"memory of the function, {many.users:,} against {few.users:,}",
        STEADY,
        many.memory / few.memory,
        2,
    )
    yield most("memory of the function, MB", 200, many.memory, 0)
    growth = many.planning * few.users / (few.planning * many.users)
    yield most(f"planning a user, {many.users:,} against {few.users:,}", FLAT, growth, 2)


def _courses(findings: Findings) -> Table:
    rows = [
        (
            f"{course.users:,}",
            str(course.chains),
            "yes" if course.cached else "no",
            f"{course.planning:.2f}",
            f"{course.median(0, len(course.pages)):.0f}",
            f"{course.median(EARLY.start, EARLY.stop):.0f}",
            f"{course.median(-LATE, len(course.pages)):.0f}",
            f"{course.pages[-1]:.0f}",
            f"{course.total:.1f}",
            f"{course.users / course.total:,.0f}",
            f"{course.memory:.0f}",
        )
        for course in findings.courses
    ]
    head = (
        "users",
        "chains",
        "Redis",
        "plan, s",
        "page, ms",
        "10th to 20th",
        f"last {LATE}",
        "last",
        "run, s",
        "users/s",
        "MB",
    )
    note = """
Pages are medians. The function is one process: chains beyond the first fill the time in which it
waits for Postgres.

![Time of a page along the run](pages.svg)"""
    return Table("Whole runs", head, rows, note)


def _sizes(findings: Findings) -> Table:
    names = list(next(iter(findings.sizes.values())))
    rows = [
        (
            f"{course.users:,}",
            *(_megabytes(findings.sizes[course.users][name]) for name in names),
            f"{course.work_list / 1e6:,.0f}",
        )
        for course in findings.lone
    ]
    note = """
MB of a table and, after the plus, of its indexes, as the runs leave them; of the work list,
`embedding.run_users`, both together, as planned. It is empty again after the run."""
    return Table("Sizes", ("users", *names, "work list"), rows, note)


def _writing(findings: Findings) -> Table:
    found = findings.writing
    rows = [
        (f"bytes an action, `{name}`, fresh and used", f"{fresh:.0f}", f"{found.used[name]:.0f}")
        for name, fresh in found.fresh.items()
    ]
    rows.append(
        (
            "microseconds to log an action, without them and with them",
            f"{found.bare.median:.1f}",
            f"{found.indexed.median:.1f}",
        )
    )
    note = f"""
On a log of {found.rows:,} actions, to which {found.written:,} were added in batches of 1,000, by
turns with a copy of it that has its primary key alone: {_range(found.bare)} us without the indexes,
{_range(found.indexed)} with them."""
    return Table("What `db/indexes.sql` costs", ("", "", ""), rows, note)


def _megabytes(size: Size) -> str:
    return f"{size.table / 1e6:,.0f} + {size.indexes / 1e6:,.0f}"


def _range(spread: Spread) -> str:
    return f"{spread.least:.1f} to {spread.most:.1f}"
