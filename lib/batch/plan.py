"""A tick: find who is due, and start or revive the chains that work them off."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from lib.batch.mean import look_at_mean
from lib.batch.services import Services
from lib.qstash.message import Page
from lib.settings import RunSettings
from lib.store import actions, figures, pages, runs
from lib.store.database import Connection
from lib.store.runs import Run

PATIENCE = timedelta(minutes=15)
"""An open run without progress for this long is not waited for."""


@dataclass(frozen=True)
class Plan:
    """What a tick decided: the run to work off, whether it is new, the pages published."""

    run: Run
    planned: bool
    pages: tuple[int, ...]


async def start_run(services: Services) -> Plan:
    """Plan a run, or leave one in progress be; publish the lowest page of every chain.

    Publishing a page that is on its way already is harmless, and revives a chain that died.
    """
    if any(scheme and scheme.centred for scheme in (*services.schemes, services.shadow)):
        await look_at_mean(services.database, services.vectors.model_version)
    async with services.database.connection() as connection:
        async with connection.transaction():
            run, planned = await _plan(connection, services)
        if planned:
            # before any page is published: how users stood without this run
            await figures.survey(connection, run.id, run.pages)
        first = await pages.lowest_pages(connection, run)
    for page in first:
        await services.queue.publish_page(Page(run.id, page), run.chains)
    return Plan(run, planned, tuple(first))


async def _plan(connection: Connection, services: Services) -> tuple[Run, bool]:
    await runs.lock_planning(connection)
    now = await runs.clock(connection)
    unfinished = await runs.lock_open_run(connection)
    if unfinished:
        if not stalled(unfinished, now, services.runs):
            return unfinished, False
        await runs.absorb(connection, unfinished.id)
    window = (await _window_start(connection, services, now), now)
    absorbed = unfinished.id if unfinished else None
    size, chains = services.runs.page_size, services.runs.chains
    return await runs.create_run(connection, window, absorbed, size, chains), True


def stalled(run: Run, now: datetime, settings: RunSettings) -> bool:
    """Whether an open run is too old, or without progress for too long, to wait for."""
    deadline = timedelta(seconds=settings.deadline)
    return now - run.window_end >= deadline or now - run.progressed_at >= PATIENCE


async def _window_start(connection: Connection, services: Services, now: datetime) -> datetime:
    end = await runs.planned_until(connection, now)
    if end is None:
        return now - services.vectors.lookback
    return end - timedelta(seconds=services.runs.overlap)


async def find_users_for_embedding_update(services: Services, limit: int) -> list[UUID]:
    """Return up to `limit` users whom a run planned now would take."""
    async with services.database.connection() as connection:
        now = await runs.clock(connection)
        start = await _window_start(connection, services, now)
        return await actions.active_users(connection, start, limit)
