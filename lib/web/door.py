"""The door for QStash: what passes it is short, and signed for this very URL."""

import asyncio
import time
from dataclasses import dataclass

from starlette.requests import ClientDisconnect, Request

from lib.errors import TooLarge, Unauthorized, Unavailable
from lib.qstash.signature import verify
from lib.settings import SigningKeys

LONGEST_BODY = 65_536
BODY_SECONDS = 10.0


@dataclass(frozen=True)
class Door:
    """Lets signed messages in; `url` is the public one, whatever a request's headers claim."""

    url: str
    keys: SigningKeys

    async def enter(self, request: Request) -> bytes:
        """Return the body of a signed request; raise Unauthorized, TooLarge or Unavailable."""
        token = request.headers.get("upstash-signature")
        if token is None:
            raise Unauthorized("no signature")
        body = await _read(request)
        verify(token, body, self.url, self.keys, time.time())
        return body


async def _read(request: Request) -> bytes:
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > LONGEST_BODY:
                    raise TooLarge(f"expected a body of at most {LONGEST_BODY} bytes")
    except ClientDisconnect:
        raise Unavailable("the sender hung up in mid body") from None
    except TimeoutError:
        raise Unavailable(f"the body took longer than {BODY_SECONDS:.0f} s") from None
    return bytes(body)
