"""POST /api/actions/batch-process: a tick or a page; GET in development."""

import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, replace

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from lib.batch import Progress, Services, count_popularity, start_run, work_page
from lib.batch.neighbours import refresh_neighbours
from lib.batch.phases import Phase, no_figures
from lib.batch.tidy import tidy_up
from lib.blend import load_blend
from lib.errors import Unavailable
from lib.qstash.delivery import destination
from lib.qstash.message import Page, Snapshot, Start, parse
from lib.settings import Environ, SigningKeys, SnapshotSettings, app_url, dev_trigger_allowed
from lib.snapshot.bucket import Bucket
from lib.snapshot.taking import begin_snapshot, take_part
from lib.web.answer import answered, done, not_found, note, unavailable
from lib.web.deadline import stop_at
from lib.web.door import Door
from lib.web.report import page_report, plan_report, snapshot_report
from lib.web.trace import tracing

PATH = "/api/actions/batch-process"


def routes(environ: Environ) -> Sequence[Route]:
    """Return the function's routes; raise SettingError."""
    traced = tracing(environ)
    services = replace(Services.load(environ), spans=traced.spans)
    door = Door(destination(app_url(environ)), SigningKeys.load(environ))
    allowed = dev_trigger_allowed(environ)
    half_life = load_blend().popularity_days
    name = SnapshotSettings.load(environ).bucket
    bucket = Bucket(name) if name else None

    async def post(request: Request) -> Response:
        message = parse(await door.enter(request))
        again = request.headers.get("upstash-retried", "0") != "0"
        begun, until = time.monotonic(), stop_at()
        copied, users, phases = 0, 0, no_figures()
        match message:
            case Snapshot():
                return await snapshot(message, begun)
            case Start():
                report = plan_report(await start_run(services))
                await count_popularity(services.database, half_life, services.runs.overlap)
                await tidy_up(services.database)
            case Page():
                try:
                    progress = await work_page(services, message, until, again=again)
                finally:
                    await traced.flush()
                report = page_report(message.page, progress)
                users, phases = len(progress.results), progress.seconds
                copied = await _refresh(services, progress, until)
                if bucket and progress.next is None and not progress.trouble:
                    await begin_snapshot(services.database, services.queue, progress.run.id)
        note(
            "batch",
            **asdict(report),
            users=users,
            ms=round(1000 * (time.monotonic() - begun)),
            # summed over slices that go side by side
            **{f"ms_{name}": round(1000 * phases[name]) for name in Phase},
            # of all post vectors that this instance ever needed
            vectors_warm=services.warm.found,
            vectors_read=services.warm.missed,
            neighbours=copied,
        )
        return unavailable(report.body()) if report.trouble else done(report.body())

    async def snapshot(message: Snapshot, begun: float) -> Response:
        taken = None
        if bucket:
            taken = await take_part(services.database, services.queue, bucket, message)
        report = snapshot_report(message.run, message.page, taken)
        cleared = taken.cleared if taken else 0
        ms = round(1000 * (time.monotonic() - begun))
        note("snapshot", **asdict(report), cleared=cleared, ms=ms)
        return done(report.body())

    async def get(_: Request) -> Response:
        if not allowed:
            return not_found()
        from lib.batch.preview import preview  # noqa: PLC0415  # a deployment never needs it

        return done({"users": [asdict(shown) for shown in await preview(services)]})

    return [
        Route(PATH, answered(post), methods=["POST"]),
        Route(PATH, answered(get), methods=["GET"]),
    ]


async def _refresh(services: Services, progress: Progress, until: float) -> int:
    """Bring the copy up to date where this page may have been the run's last one.

    Its trouble is no reason to send the page again: what is left waits for the next run.
    """
    if progress.next is not None or progress.trouble:
        return 0
    try:
        return await refresh_neighbours(services.database, progress.run.id, until)
    except Unavailable as error:
        note("neighbours_left", logging.WARNING, reason=str(error))
        return 0
