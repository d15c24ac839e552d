"""GET /api/status and /api/metrics: how the system is doing, for people and for Prometheus."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from lib.recommend.services import Readers
from lib.settings import Environ, Tokens
from lib.status.link import PAGES
from lib.status.recent import Recent
from lib.status.services import Services
from lib.status.status import RunStatus, Status
from lib.web import portrait
from lib.web.answer import answered, done
from lib.web.fields import only, prefers_json
from lib.web.visitor import LINK_FIELDS, Visitors

METRICS = "/api/metrics"


def routes(environ: Environ) -> Sequence[Route]:
    """Return the function's routes; raise SettingError."""
    services, visitors = Services.load(environ), Visitors.of(Tokens.load(environ))
    readers = replace(Readers.load(environ), database=services.database, cache=services.cache)
    recent = Recent(services)

    async def status(request: Request) -> Response:
        link = visitors.enter(request)
        only(request, LINK_FIELDS)
        found = await recent.status()
        if prefers_json(request):
            return done(status_body(found))
        from lib.page.status_page import status_page  # noqa: PLC0415  # a metric needs none

        page = status_page(found, link)
        return Response(page.text, headers=page.headers)

    async def metrics(request: Request) -> Response:
        visitors.bearer.enter(request)
        only(request, ())
        from lib.web.metrics import CONTENT_TYPE, exposition  # noqa: PLC0415  # a page needs none

        text = exposition(await recent.status())
        return Response(text, headers={"Content-Type": CONTENT_TYPE})

    return [
        Route(PAGES, answered(status), methods=["GET"]),
        Route(METRICS, answered(metrics), methods=["GET"]),
        *portrait.routes(readers, visitors),
    ]


def status_body(status: Status) -> dict[str, Any]:
    """Return the status as JSON has it: its fields, and what follows from them."""
    return {
        "at": status.at,
        "staleness_seconds": status.staleness,
        "runs": [_run(run) for run in status.runs],
        "totals": status.totals,
        "backlog": status.backlog,
        "failures": status.failures,
        "failed_pages": status.failed_pages,
        "queue": status.queue,
        "keyspace": status.keyspace,
    }


def _run(run: RunStatus) -> dict[str, Any]:
    age, drift = run.freshness.age, run.work.drift
    return {
        **vars(run),
        "users_left": run.users_left,
        "seconds": run.seconds,
        "users_per_second": run.users_per_second,
        "coverage": run.freshness.coverage,
        "age_seconds": {"median": age.quantile(0.5), "p95": age.quantile(0.95)},
        "drift": {"mean": drift.mean, "median": drift.quantile(0.5), "p95": drift.quantile(0.95)},
    }
