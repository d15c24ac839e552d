"""POST /api/actions/batch-failed: QStash gave a message up."""

from collections.abc import Sequence
from dataclasses import asdict

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from lib.batch.failure import pass_over
from lib.qstash.delivery import failure_callback
from lib.qstash.message import Page, Snapshot, Start, parse_failure
from lib.qstash.queue import Queue
from lib.settings import DatabaseSettings, Environ, QueueSettings, SigningKeys, app_url
from lib.store.database import Database
from lib.web.answer import answered, done, note
from lib.web.door import Door
from lib.web.report import Report

PATH = "/api/actions/batch-failed"


def routes(environ: Environ) -> Sequence[Route]:
    """Return the function's routes; raise SettingError."""
    database = Database(DatabaseSettings.load(environ))
    queue = Queue(QueueSettings.load(environ))
    door = Door(failure_callback(app_url(environ)), SigningKeys.load(environ))

    async def post(request: Request) -> Response:
        failure = parse_failure(await door.enter(request))
        match failure.message:
            case Start():
                # the next tick plans anyway, and its window reaches back to the last one's end
                note("tick_failed", answer=failure.status)
                return done({"status": "noted"})
            case Snapshot() as part:
                # the one before it stays the newest, and the next run takes another
                note("snapshot_failed", run=part.run, page=part.page, answer=failure.status)
                return done({"status": "noted"})
            case Page() as page:
                following = await pass_over(database, queue, page, failure.status)
                report = Report("passed_over", page.run, page.page, next=following)
                note("page_failed", **asdict(report), answer=failure.status)
                return done(report.body())

    return [Route(PATH, answered(post), methods=["POST"])]
