"""A page message: whoever is left on a page, a slice at a time, into Postgres and Redis."""

import asyncio
from collections import deque
from collections.abc import Coroutine
from dataclasses import dataclass, field
from itertools import batched
from uuid import UUID

from lib.batch.mirror import mirror
from lib.batch.phases import Attributes, Figures, Phase, Watch, no_figures, phase, timed
from lib.batch.services import Services
from lib.batch.users import process_batch_user_embeddings
from lib.errors import Malformed, Unavailable
from lib.qstash.message import Page
from lib.qstash.queue import Queue
from lib.store import pages, results, runs
from lib.store.database import Connection, Database
from lib.store.pages import Member
from lib.store.results import Result
from lib.store.runs import Run

SLICE = 500
SMALL_SLICE = 250
IN_FLIGHT = 2
"""Slices worked off side by side: one is computed while Postgres works for the other."""


def slice_size(users: int) -> int:
    """Return how many users of a page go together: at most SLICE, and half if that makes two."""
    return min(SLICE, max(SMALL_SLICE, -(-users // IN_FLIGHT)))


@dataclass
class Progress:
    """What one delivery of a page did.

    `seconds`: where its time went, summed over slices that go side by side. `next`: the page it
    published. `trouble`: why users are left on the page, for whom the message
    must come again.
    """

    run: Run
    results: list[Result] = field(default_factory=list)
    seconds: Figures = field(default_factory=no_figures)
    next: int | None = None
    trouble: Unavailable | None = None


async def work_page(
    services: Services, page: Page, stop_at: float, *, again: bool = False
) -> Progress:
    """Work off the users left on a page and publish its chain's next page.

    `stop_at`: no slice is begun after this time of the event loop. `again`: whether the message is
    another attempt, which is counted. Raises Malformed for a run that
    never was, and Unavailable where Postgres or QStash is; a cache that is down is `trouble`, since
    the other slices and pages go on.
    """
    async with services.database.connection() as connection:
        run = await known_run(connection, page.run)
        members = await pages.page_members(connection, page.run, page.page)
    progress = Progress(run)
    services.figures["retries"] += again
    services.figures["repeats"] += not members
    if not run.finished:
        attributes: Attributes = {"run": str(page.run), "page": page.page}
        with (
            services.spans("page", attributes=attributes),
            timed(Watch(progress.seconds, services.figures, services.spans)),
        ):
            await _work(services, page, members, stop_at, progress)
    return progress


async def _work(
    services: Services, page: Page, members: list[Member], stop_at: float, progress: Progress
) -> None:
    slices = deque(batched(members, slice_size(len(members))))
    unwritten = len(slices)

    async def work() -> None:
        nonlocal unwritten
        while slices and asyncio.get_running_loop().time() < stop_at:
            done = await process_batch_user_embeddings(services, slices.popleft())
            progress.results += done
            unwritten -= 1
            settling = _settle(services, page, done, progress)
            if unwritten:
                await settling
            else:
                await _all(_pass_on(services, page, progress), settling)

    await _all(*(work() for _ in range(IN_FLIGHT)))
    if slices:
        progress.trouble = Unavailable(f"out of time with {len(slices)} slices left")
    if slices or not members:
        await _pass_on(services, page, progress)


async def _all(*parts: Coroutine[None, None, None]) -> None:
    """Run the parts side by side, each to its end; raise what the first that failed raised."""
    for ended in await asyncio.gather(*parts, return_exceptions=True):
        if ended is not None:
            raise ended


async def _pass_on(services: Services, page: Page, progress: Progress) -> None:
    with phase(Phase.PUBLISH):
        progress.next = await publish_next(
            services.database, services.queue, progress.run, page.page
        )


async def known_run(connection: Connection, run: UUID) -> Run:
    """Return the run; raise Malformed if there never was one of this id."""
    found = await runs.find_run(connection, run)
    if found is None:
        raise Malformed(f"expected a run of ours, got {run}")
    return found


async def publish_next(database: Database, queue: Queue, run: Run, page: int) -> int | None:
    """Publish and return the lowest page with work above this one in its chain, if any."""
    async with database.connection() as connection:
        following = await pages.next_page(connection, run, page)
    if following is not None:
        await queue.publish_page(Page(run.id, following), run.chains)
    return following


async def _settle(services: Services, page: Page, done: list[Result], progress: Progress) -> None:
    """Bring the cache up to date, and only then strike the users off the work list.

    What this instance has measured by then is credited to the run; what comes after, such as a
    publication still under way, counts with the next slice that it closes.
    """
    figures: dict[str, float] = {}
    try:
        with phase(Phase.CACHE):
            await mirror(services, [result.user for result in done])
        async with services.database.connection() as connection:
            figures = {name: amount for name, amount in services.figures.items() if amount}
            services.figures.clear()
            await results.close_users(connection, page.run, page.page, done, figures)
    except Unavailable as trouble:
        for name, amount in figures.items():
            services.figures[name] += amount
        progress.trouble = trouble
