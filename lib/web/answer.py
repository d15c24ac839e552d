"""What goes back: one answer for every kind of error, and one line in the log."""

import logging
import traceback
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from lib.errors import (
    Invalid,
    Malformed,
    Missing,
    ServiceError,
    TooLarge,
    Unauthorized,
    Unavailable,
)

log = logging.getLogger("user_embeddings")

RETRY_AFTER_SECONDS = 60
"""So that every attempt at a page falls into QStash's ten minutes of deduplication."""

type Endpoint = Callable[[Request], Awaitable[Response]]


def note(event: str, level: int = logging.INFO, **fields: Any) -> None:
    """Log one event as one JSON object."""
    log.log(level, _json({"event": event, **fields}).decode())


@dataclass(frozen=True)
class Refusal:
    """How an error is answered and logged."""

    status: int
    error: str
    level: int = logging.WARNING
    headers: Mapping[str, str] = field(default_factory=dict)


REFUSALS: Mapping[type[ServiceError], Refusal] = {
    Unauthorized: Refusal(401, "unauthorized", headers={"WWW-Authenticate": "Bearer"}),
    Invalid: Refusal(400, "invalid", logging.INFO),
    Missing: Refusal(404, "not found", logging.INFO),
    TooLarge: Refusal(413, "too large"),
    Malformed: Refusal(
        489, "malformed", logging.ERROR, headers={"Upstash-NonRetryable-Error": "true"}
    ),
    Unavailable: Refusal(503, "unavailable", headers={"Retry-After": str(RETRY_AFTER_SECONDS)}),
}


def answered(endpoint: Endpoint) -> Endpoint:
    """Turn whatever an endpoint raises into its answer; nothing it says shows in the body.

    Except for what whoever has a token did wrong.
    """

    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except ServiceError as error:
            refusal = REFUSALS.get(type(error))
            if refusal is None:
                return _unexpected(request)
            event = refusal.error.replace(" ", "_")
            note(event, refusal.level, path=request.url.path, reason=str(error))
            body = {"error": refusal.error, **_explained(error)}
            return Response(
                _json(body), refusal.status, refusal.headers, media_type="application/json"
            )
        except Exception:  # noqa: BLE001  # the edge: logged here, delivered again by QStash
            return _unexpected(request)

    return answer


def _explained(error: ServiceError) -> dict[str, str]:
    match error:
        case Invalid():
            return {"field": error.field, "rule": error.rule}
        case Missing():
            return {"reason": str(error)}
    return {}


def _unexpected(request: Request) -> Response:
    note("unexpected", logging.ERROR, path=request.url.path, error=traceback.format_exc())
    return Response(_json({"error": "internal error"}), 500, media_type="application/json")


def done(body: dict[str, Any]) -> Response:
    """Answer that the message needs not come again."""
    return Response(_json(body), 200, media_type="application/json")


def not_found() -> Response:
    """Answer as if there were nothing here."""
    return PlainTextResponse("Not Found", 404)


def unavailable(body: dict[str, Any]) -> Response:
    """Answer that the message should come again."""
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
    return Response(_json(body), 503, headers, media_type="application/json")


def _json(value: dict[str, Any]) -> bytes:
    # asyncpg's UUID is one of its own; float32 in its shortest spelling is half as long
    return orjson.dumps(value, default=str, option=orjson.OPT_SERIALIZE_NUMPY)
