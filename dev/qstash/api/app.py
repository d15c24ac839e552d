"""The application: every route behind the bearer token, every error as QStash answers it."""

import secrets
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from dev.qstash.api import dead_letters, flows, messages, schedules
from dev.qstash.api.incoming import matches, page
from dev.qstash.callback import milliseconds
from dev.qstash.errors import Rejected
from dev.qstash.faults import Drop, Hang, Refuse
from dev.qstash.wire import event_json

if TYPE_CHECKING:
    from dev.qstash.broker import Broker

MOST_EVENTS = 1_000


def create_app(broker: "Broker") -> ASGIApp:
    """Return the API of a broker, to be served by uvicorn."""
    app = Starlette(
        routes=[
            *messages.routes(broker),
            *schedules.routes(broker),
            *dead_letters.routes(broker),
            *flows.routes(broker),
            *_keys(broker),
            *_logs(broker),
        ],
        exception_handlers=dict.fromkeys((Rejected, HTTPException, Refuse, Hang, Drop), _answer),
    )
    app.router.redirect_slashes = False
    return Door(app, broker.token)


class Door:
    """Lets in requests with the bearer token; anything else is answered 401."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._expected = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = dict(scope["headers"]).get(b"authorization", b"")
        if not secrets.compare_digest(given, self._expected):
            answer = JSONResponse({"error": "unauthorized: invalid or missing token"}, 401)
            await answer(scope, receive, send)
            return
        # uvicorn's own send, which Starlette wraps, is a method of what holds the connection
        scope["connection"] = getattr(send, "__self__", None)
        await self._app(scope, receive, send)


async def _answer(request: Request, error: Exception) -> Response:
    """Answer what an endpoint raised; for Hang and Drop the answer goes nowhere."""
    match error:
        case Rejected():
            return JSONResponse({"error": error.message}, error.status)
        case HTTPException():
            return JSONResponse({"error": error.detail}, error.status_code, error.headers)
        case Refuse():
            return Response(error.body, error.status, media_type="application/json")
        case Drop():
            request.scope["connection"].transport.abort()
    while (await request.receive())["type"] != "http.disconnect":
        pass
    return Response()


def _keys(broker: "Broker") -> list[Route]:
    async def get(_: Request) -> Response:
        return JSONResponse({"current": broker.keys.current, "next": broker.keys.next})

    async def rotate(request: Request) -> Response:
        broker.keys.rotate()
        return await get(request)

    return [
        Route("/v2/keys", get, methods=["GET"]),
        Route("/v2/keys/rotate", rotate, methods=["POST"]),
    ]


def _logs(broker: "Broker") -> list[Route]:
    async def get(request: Request) -> Response:
        states = request.query_params.getlist("state")
        events = [
            event
            for event in reversed(broker.ledger.events)
            if matches(request, event.message, milliseconds(event.time))
            and (not states or event.state.value in states)
        ]
        entries, cursor = page(request, events, MOST_EVENTS)
        name = request.url.path.rpartition("/")[2]
        return JSONResponse({name: [event_json(event) for event in entries], **cursor})

    return [Route(path, get, methods=["GET"]) for path in ("/v2/events", "/v2/logs")]
