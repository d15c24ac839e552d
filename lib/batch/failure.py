"""A page that QStash gave up: its chain goes on behind it."""

from lib.batch.page import known_run, publish_next
from lib.qstash.message import Page
from lib.qstash.queue import Queue
from lib.store import pages
from lib.store.database import Database


async def pass_over(database: Database, queue: Queue, page: Page, status: int | None) -> int | None:
    """Record that a page was given up with this status, publish and return the next one.

    The page itself is not published again: QStash would take it for a duplicate. Its users join
    the next run. Raises Malformed for a run that never was, and Unavailable.
    """
    async with database.connection() as connection:
        run = await known_run(connection, page.run)
        await pages.record_failed_page(connection, page.run, page.page, status)
    return None if run.finished else await publish_next(database, queue, run, page.page)
