"""How far a run is, as its tables say, and how that is shown meanwhile."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from dev.demo.failure import Failure

if TYPE_CHECKING:
    from asyncpg import Connection

PAUSE = 0.05
QUARTERS = 4
BAR_WIDTH = 32

LAST_RUN = """
SELECT
  run.id,
  run.pages,
  run.pages - count(DISTINCT work.page) AS pages_done,
  run.users,
  run.users - count(work.user_id) AS users_done,
  run.finished_at IS NOT NULL AS finished
FROM embedding.runs AS run
LEFT JOIN embedding.run_users AS work ON work.run_id = run.id
GROUP BY run.id
ORDER BY run.number DESC
LIMIT 1
"""


@dataclass(frozen=True)
class State:
    """How far a run is."""

    id: UUID
    pages: int
    pages_done: int
    users: int
    users_done: int
    finished: bool

    def __str__(self) -> str:
        return (
            f"{self.pages_done} of {self.pages} pages, {self.users_done:,} of {self.users:,} users"
        )


type Show = Callable[[State], None]


async def last_run(connection: "Connection[Any]") -> UUID | None:
    """Return the id of the last run; None before the first."""
    row = await connection.fetchrow(LAST_RUN)
    return row["id"] if row else None


async def follow(
    connection: "Connection[Any]", show: Show, seconds: float, *, after: UUID | None = None
) -> UUID:
    """Show every state of the run `after` that one until it is finished and return its id.

    Failure after `seconds`.
    """
    state: State | None = None
    try:
        async with asyncio.timeout(seconds):
            while state is None or not state.finished:
                await asyncio.sleep(PAUSE)
                row = await connection.fetchrow(LAST_RUN)
                if row is not None and row["id"] != after:
                    state = State(**row)
                    show(state)
    except TimeoutError:
        reached = state or "it was not even planned"
        raise Failure(f"expected the run to end within {seconds:g} s: {reached}") from None
    return state.id


@contextmanager
def shown(console: Console) -> Iterator[Show]:
    """Yield what shows states: as a bar in a terminal, elsewhere as a line at every quarter."""
    if console.is_interactive:
        with _bar(console) as show:
            yield show
    else:
        yield _lines(console)


@contextmanager
def _bar(console: Console) -> Iterator[Show]:
    progress = Progress(
        TextColumn(" "),
        BarColumn(BAR_WIDTH),
        MofNCompleteColumn(),
        TextColumn("pages  {task.fields[users]}"),
        TimeElapsedColumn(),
        console=console,
    )
    with progress:
        task = progress.add_task("", total=None, users="planning")

        def show(state: State) -> None:
            users = f"{state.users_done:,}/{state.users:,} users"
            progress.update(task, total=state.pages, completed=state.pages_done, users=users)

        yield show


def _lines(console: Console) -> Show:
    told = -1

    def show(state: State) -> None:
        nonlocal told
        quarter = QUARTERS * state.users_done // max(state.users, 1)
        if quarter > told:
            told = quarter
            console.print(f"  {state}")

    return show
