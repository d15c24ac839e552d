"""A request's body, as long as it is allowed to be."""

import asyncio

from starlette.requests import ClientDisconnect, Request

from lib.errors import TooLarge, Unavailable

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
