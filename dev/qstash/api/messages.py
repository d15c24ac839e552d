"""Publishing, reading and cancelling messages."""

from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dev.qstash.api.incoming import caller_ip, read_enqueued, read_json, read_published
from dev.qstash.errors import Rejected
from dev.qstash.letter import Letter, read_letter
from dev.qstash.message import ENDED, Message
from dev.qstash.wire import Json, message_json

if TYPE_CHECKING:
    from dev.qstash.broker import Broker

MOST_IN_BATCH = 1_000


def routes(broker: "Broker") -> list[Route]:
    """Return the routes for messages."""

    async def publish(request: Request) -> Response:
        return _published(await broker.publish(await read_published(request, "/v2/publish/")))

    async def enqueue(request: Request) -> Response:
        return _published(await broker.publish(await read_enqueued(request, "/v2/enqueue/")))

    async def batch(request: Request) -> Response:
        letters = _letters(await read_json(request), caller_ip(request))
        return JSONResponse([_receipt(*await broker.publish(letter)) for letter in letters])

    async def get(request: Request) -> Response:
        return JSONResponse(message_json(living(request.path_params["id"])))

    async def cancel(request: Request) -> Response:
        broker.ledger.cancel(living(request.path_params["id"]))
        return JSONResponse({"cancelled": 1}, 202)

    async def cancel_many(request: Request) -> Response:
        asked = _message_ids(await read_json(request))
        messages = [
            message
            for message in broker.messages
            if message.state not in ENDED and (asked is None or message.message_id in asked)
        ]
        for message in messages:
            broker.ledger.cancel(message)
        return JSONResponse({"cancelled": len(messages)}, 202)

    def living(message_id: str) -> Message:
        # the real API forgets messages shortly after they have ended
        message = broker.ledger.message(message_id)
        if message.state in ENDED:
            raise Rejected(404, f"message {message_id} not found")
        return message

    return [
        Route("/v2/publish/{destination:path}", publish, methods=["POST"]),
        Route("/v2/enqueue/{queue}/{destination:path}", enqueue, methods=["POST"]),
        Route("/v2/batch", batch, methods=["POST"]),
        Route("/v2/messages", cancel_many, methods=["DELETE"]),
        Route("/v2/messages/{id}", get, methods=["GET"]),
        Route("/v2/messages/{id}", cancel, methods=["DELETE"]),
    ]


def _published(published: tuple[str, bool]) -> Response:
    _, deduplicated = published
    return JSONResponse(_receipt(*published), 202 if deduplicated else 200)


def _receipt(message_id: str, deduplicated: bool) -> Json:  # noqa: FBT001  # as Broker.publish returns them
    return {"messageId": message_id} | ({"deduplicated": True} if deduplicated else {})


def _letters(content: Any, address: str | None) -> list[Letter]:
    if not isinstance(content, list) or not 1 <= len(content) <= MOST_IN_BATCH:
        raise Rejected(400, f"expected a list of 1 to {MOST_IN_BATCH} messages")
    return [_letter(entry, address) for entry in content]


def _letter(entry: Any, address: str | None) -> Letter:
    match entry:
        case {"destination": str(destination)}:
            headers, body, queue = (entry.get(name) for name in ("headers", "body", "queue"))
        case _:
            raise Rejected(400, "expected an object with a destination")
    if not isinstance(body, str | None) or not isinstance(queue, str | None):
        raise Rejected(400, "expected the body and the queue to be strings")
    if not _texts(headers or {}):
        raise Rejected(400, "expected the headers to be strings by name")
    pairs = (headers or {}).items()
    return read_letter(destination, pairs, (body or "").encode(), queue=queue, caller_ip=address)


def _texts(headers: Any) -> bool:
    return isinstance(headers, dict) and all(isinstance(value, str) for value in headers.values())


def _message_ids(content: Any) -> list[str] | None:
    match content:
        case None | {} if not content:
            return None
        case {"messageIds": list(ids)}:
            return ids
    raise Rejected(400, "expected messageIds to be a list")
