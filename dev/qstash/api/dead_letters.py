"""The DLQ."""

from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dev.qstash.api.incoming import matches, page, read_json
from dev.qstash.callback import milliseconds
from dev.qstash.errors import Rejected
from dev.qstash.message import DeadLetter
from dev.qstash.wire import dead_letter_json

if TYPE_CHECKING:
    from dev.qstash.broker import Broker

MOST_LISTED = 100


def routes(broker: "Broker") -> list[Route]:
    """Return the routes for the DLQ."""
    ledger = broker.ledger

    async def list_some(request: Request) -> Response:
        dead = [entry for entry in ledger.dead_letters if _wanted(request, entry)]
        entries, cursor = page(request, dead, MOST_LISTED)
        return JSONResponse({"messages": [dead_letter_json(each) for each in entries], **cursor})

    async def get(request: Request) -> Response:
        return JSONResponse(dead_letter_json(ledger.dead_letter(request.path_params["id"])))

    async def delete(request: Request) -> Response:
        ledger.dead_letters.remove(ledger.dead_letter(request.path_params["id"]))
        return Response()

    async def delete_many(request: Request) -> Response:
        match await read_json(request):
            case {"dlqIds": list(ids)}:
                doomed = [dead for dead in ledger.dead_letters if dead.dlq_id in ids]
            case _:
                raise Rejected(400, "expected dlqIds to be a list")
        for dead in doomed:
            ledger.dead_letters.remove(dead)
        return JSONResponse({"deleted": len(doomed)})

    async def retry(request: Request) -> Response:
        message = ledger.revive(ledger.dead_letter(request.path_params["id"]))
        return JSONResponse({"messageId": message.message_id}, 201)

    return [
        Route("/v2/dlq", list_some, methods=["GET"]),
        Route("/v2/dlq", delete_many, methods=["DELETE"]),
        Route("/v2/dlq/retry/{id}", retry, methods=["POST"]),
        Route("/v2/dlq/{id}", get, methods=["GET"]),
        Route("/v2/dlq/{id}", delete, methods=["DELETE"]),
    ]


def _wanted(request: Request, dead: DeadLetter) -> bool:
    statuses = request.query_params.getlist("responseStatus")
    return matches(request, dead.message, milliseconds(dead.delivery.finished)) and (
        not statuses or str(dead.delivery.status or 0) in statuses
    )
