"""Creating, reading, pausing and deleting schedules."""

import re
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dev.qstash.api.incoming import read_published
from dev.qstash.errors import Rejected
from dev.qstash.wire import schedule_json

if TYPE_CHECKING:
    from dev.qstash.broker import Broker

_ID = re.compile(r"[A-Za-z0-9._-]{1,256}")


def routes(broker: "Broker") -> list[Route]:
    """Return the routes for schedules."""
    timetable = broker.timetable

    async def create(request: Request) -> Response:
        letter = await read_published(request, "/v2/schedules/")
        letter = replace(letter, queue=request.headers.get("upstash-queue-name"))
        schedule_id = request.headers.get("upstash-schedule-id") or f"scd_{uuid.uuid4().hex}"
        if not _ID.fullmatch(schedule_id):
            raise Rejected(400, "expected a schedule id of letters, digits, '-', '.' and '_'")
        timetable.put(schedule_id, request.headers.get("upstash-cron", ""), letter)
        return JSONResponse({"scheduleId": schedule_id})

    async def list_all(_: Request) -> Response:
        return JSONResponse([schedule_json(schedule) for schedule in timetable.all()])

    async def get(request: Request) -> Response:
        return JSONResponse(schedule_json(timetable.get(request.path_params["id"])))

    async def delete(request: Request) -> Response:
        timetable.delete(request.path_params["id"])
        return Response()

    async def pause(request: Request) -> Response:
        timetable.get(request.path_params["id"]).paused = True
        return Response()

    async def resume(request: Request) -> Response:
        timetable.get(request.path_params["id"]).paused = False
        return Response()

    # documented as POST, sent as PATCH by the official SDK
    both = ["POST", "PATCH"]
    return [
        Route("/v2/schedules", list_all, methods=["GET"]),
        Route("/v2/schedules/{id}/pause", pause, methods=both),
        Route("/v2/schedules/{id}/resume", resume, methods=both),
        Route("/v2/schedules/{id}", get, methods=["GET"]),
        Route("/v2/schedules/{id}", delete, methods=["DELETE"]),
        Route("/v2/schedules/{destination:path}", create, methods=["POST"]),
    ]
