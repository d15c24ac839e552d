"""The door for QStash: what passes it is short, and signed for this very URL."""

import time
from dataclasses import dataclass

from starlette.requests import Request

from lib.errors import Unauthorized
from lib.qstash.signature import verify
from lib.settings import SigningKeys
from lib.web.body import read_body

LONGEST_BODY = 65_536


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
        body = await read_body(request, LONGEST_BODY)
        verify(token, body, self.url, self.keys, time.time())
        return body
