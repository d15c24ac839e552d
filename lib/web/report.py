"""What a message came to, for its answer and for the log."""

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from lib.batch import Plan, Progress
from lib.snapshot.taking import Taken
from lib.store.results import Outcome


@dataclass(frozen=True)
class Report:
    """`status`: planned, in_progress, nothing_due; done, incomplete, closed; passed_over; stored.

    `processed`, `skipped`, `failed`: users of this delivery. `next`: the lowest page published.
    `trouble`: why the message must come again.
    """

    status: str
    run: UUID
    page: int | None
    processed: int = 0
    skipped: int = 0
    failed: int = 0
    next: int | None = None
    trouble: str | None = None

    def body(self) -> dict[str, Any]:
        """Return what the answer says: everything but the trouble, which is for the log."""
        return {name: value for name, value in asdict(self).items() if name != "trouble"}


def plan_report(plan: Plan) -> Report:
    """Report a tick."""
    planned = "nothing_due" if plan.run.finished else "planned"
    status = planned if plan.planned else "in_progress"
    return Report(status, plan.run.id, None, next=min(plan.pages, default=None))


def page_report(page: int, progress: Progress) -> Report:
    """Report a page."""
    worked = "incomplete" if progress.trouble else "done"
    status = "closed" if progress.run.finished else worked
    outcomes = Counter(result.outcome for result in progress.results)
    processed, failed = outcomes[Outcome.PROCESSED], outcomes[Outcome.FAILED]
    return Report(
        status,
        progress.run.id,
        page,
        processed,
        outcomes.total() - processed - failed,
        failed,
        progress.next,
        str(progress.trouble) if progress.trouble else None,
    )


def snapshot_report(run: UUID, page: int, taken: Taken | None) -> Report:
    """Report a part of a snapshot; `processed`: the users in it."""
    if taken is None:
        return Report("closed", run, page)
    status = "stored" if taken.complete else "done"
    return Report(status, run, page, taken.users, next=taken.next)
