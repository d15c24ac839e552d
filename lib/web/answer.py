"""What goes back: one answer for every kind of error, and one line in the log."""

import logging
import traceback
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from lib.errors import Malformed, TooLarge, Unauthorized, Unavailable

log = logging.getLogger("user_embeddings")

RETRY_AFTER_SECONDS = 60
"""So that every attempt at a page falls into QStash's ten minutes of deduplication."""

type Endpoint = Callable[[Request], Awaitable[Response]]


def note(event: str, level: int = logging.INFO, **fields: Any) -> None:
    """Log one event as one JSON object."""
    log.log(level, _json({"event": event, **fields}).decode())


def answered(endpoint: Endpoint) -> Endpoint:
    """Turn whatever an endpoint raises into its answer; nothing it says shows in the body."""

    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except Unauthorized as error:
            note("unauthorized", logging.WARNING, path=request.url.path, reason=str(error))
            return JSONResponse({"error": "unauthorized"}, 401)
        except TooLarge as error:
            note("too_large", logging.WARNING, path=request.url.path, reason=str(error))
            return JSONResponse({"error": "too large"}, 413)
        except Malformed as error:
            note("malformed", logging.ERROR, path=request.url.path, reason=str(error))
            return JSONResponse({"error": "malformed"}, 489, {"Upstash-NonRetryable-Error": "true"})
        except Unavailable as error:
            note("unavailable", logging.WARNING, path=request.url.path, reason=str(error))
            return unavailable({"error": "unavailable"})
        except Exception:  # noqa: BLE001  # the edge: logged here, delivered again by QStash
            note("unexpected", logging.ERROR, path=request.url.path, error=traceback.format_exc())
            return JSONResponse({"error": "internal error"}, 500)

    return answer


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
    return orjson.dumps(value, default=str)  # asyncpg's UUID is one of its own
