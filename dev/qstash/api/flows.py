"""Flow control."""

from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dev.qstash.errors import Rejected
from dev.qstash.flow_control import FlowKey, read_limits
from dev.qstash.outbox import PARALLELISM
from dev.qstash.wire import flow_json

if TYPE_CHECKING:
    from dev.qstash.broker import Broker


def routes(broker: "Broker") -> list[Route]:
    """Return the routes for flow control."""
    outbox = broker.ledger.outbox

    async def get(request: Request) -> Response:
        key = request.path_params["key"]
        if key not in outbox.flows:
            raise Rejected(404, f"flow control key {key} not found")
        return JSONResponse(flow_json(outbox.flows[key], outbox.waiting(key, broker.clock.now())))

    async def change(request: Request) -> Response:
        flow = outbox.flow(request.path_params["key"])
        match request.path_params["action"]:
            case "pause":
                flow.paused = True
            case "resume":
                flow.paused = False
            case "pin":
                _pin(flow, dict(request.query_params))
            case "unpin":
                flow.pinned_parallelism &= request.query_params.get("parallelism") != "true"
                flow.pinned_rate &= request.query_params.get("rate") != "true"
            case "resetRate":
                flow.reset(broker.clock.now())
            case action:
                raise Rejected(404, f"no such action on a flow control key: {action}")
        outbox.changed.set()
        return Response()

    async def total(_: Request) -> Response:
        return JSONResponse({"parallelismMax": PARALLELISM, "parallelismCount": outbox.active})

    return [
        Route("/v2/flowControl/{key}", get, methods=["GET"]),
        Route("/v2/flowControl/{key}/{action}", change, methods=["POST"]),
        Route("/v2/globalParallelism", total, methods=["GET"]),
    ]


def _pin(flow: FlowKey, asked: dict[str, str]) -> None:
    try:
        limits = read_limits(flow.key, ",".join(f"{name}={text}" for name, text in asked.items()))
    except ValueError as error:
        raise Rejected(400, str(error)) from error
    flow.pin(limits)
