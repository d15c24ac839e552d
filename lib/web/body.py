"""A request's body, as long as it is allowed to be."""

import asyncio
from collections.abc import Collection, Mapping
from typing import Any

import orjson
from starlette.requests import ClientDisconnect, Request

from lib.errors import Invalid, TooLarge, Unavailable

SECONDS = 10.0


async def read_body(request: Request, longest: int) -> bytes:
    """Return the body, of at most so many bytes; raise TooLarge or Unavailable."""
    body = bytearray()
    try:
        async with asyncio.timeout(SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > longest:
                    raise TooLarge(f"expected a body of at most {longest} bytes")
    except ClientDisconnect:
        raise Unavailable("the sender hung up in mid body") from None
    except TimeoutError:
        raise Unavailable(f"the body took longer than {SECONDS:.0f} s") from None
    return bytes(body)


async def read_object(request: Request, longest: int, known: Collection[str]) -> dict[str, Any]:
    """Return the JSON object that the body is; raise Invalid, TooLarge or Unavailable.

    Invalid also where it has a field that is none of the known.
    """
    body = await read_body(request, longest)
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        raise Invalid("body", "a JSON object")
    demand_known(value, known)
    return value


def demand_known(value: Mapping[str, Any], known: Collection[str]) -> None:
    """Raise Invalid of a field that nobody knows."""
    for name in value:
        if name not in known:
            raise Invalid(name, f"one of {', '.join(sorted(known))}")
