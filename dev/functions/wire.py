"""What Vercel's edge does to requests and answers on their way, and its own error pages."""

from collections.abc import Iterable
from datetime import UTC, datetime

from starlette.responses import PlainTextResponse

type Headers = list[tuple[bytes, bytes]]

_OF_ONE_CONNECTION = {
    b"connection",
    b"expect",
    b"keep-alive",
    b"proxy-authorization",
    b"proxy-connection",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
}
_SAID_BY_THE_EDGE = (b"x-forwarded-", b"x-real-ip", b"x-vercel-id", b"x-vercel-internal-")
_SAID_BY_THE_SERVER = {b"date", b"server"}

_ERRORS = {
    "NOT_FOUND": "The page could not be found",
    "FUNCTION_PAYLOAD_TOO_LARGE": "Request Entity Too Large",
    "FUNCTION_INVOCATION_FAILED": "A server error has occurred",
    "FUNCTION_INVOCATION_TIMEOUT": "An error occurred with your deployment",
}


def rfc3339(moment: datetime) -> str:
    """Spell an aware time as the platform does: UTC, milliseconds, `Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def to_function(headers: Iterable[tuple[bytes, bytes]], own: dict[str, str]) -> Headers:
    """Return a client's headers without those only the edge may send, and with the edge's own."""
    return [*_passed_on(headers), *((name.encode(), value.encode()) for name, value in own.items())]


def to_client(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """Return the headers of a function's answer as a client gets them."""
    return [(name, value) for name, value in _passed_on(headers) if name not in _SAID_BY_THE_SERVER]


def error_page(status: int, code: str, request_id: str) -> PlainTextResponse:
    """Return the platform's text for a request that no function answered."""
    return PlainTextResponse(
        f"{_ERRORS[code]}\n\n{code}\n\n{request_id}\n", status, {"x-vercel-error": code}
    )


def _passed_on(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    lowered = ((name.lower(), value) for name, value in headers)
    return [
        (name, value)
        for name, value in lowered
        if name not in _OF_ONE_CONNECTION and not name.startswith(_SAID_BY_THE_EDGE)
    ]
