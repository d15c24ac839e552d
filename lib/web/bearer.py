"""The door for the platform's own servers: whoever has a token."""

import hashlib
import hmac
from dataclasses import dataclass, field

from starlette.requests import Request

from lib.errors import Unauthorized


@dataclass(frozen=True)
class Bearer:
    """Lets requests in that carry one of the tokens."""

    tokens: tuple[str, ...] = field(repr=False)

    def enter(self, request: Request) -> None:
        """Raise Unauthorized unless the request has `Authorization: Bearer` and a token."""
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer":
            raise Unauthorized("no bearer token")
        given = _digest(token.strip())
        # each is compared, and in whole: how long it takes says nothing of where they differ
        found = [hmac.compare_digest(given, _digest(known)) for known in self.tokens]
        if not any(found):
            raise Unauthorized("not the token")


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
