"""A link that opens a page for a while: its path and its end, signed with a token."""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from urllib.parse import urlencode

PAGES = "/api/status"
"""What a link is signed for: this page, and those below it."""

LONGEST = 3600
"""Seconds that a link may be good for."""


def sign(path: str, expires: int, token: str) -> str:
    """Return the signature of a path that opens until `expires`, in seconds since 1970."""
    return hmac.new(token.encode(), f"{path}\n{expires}".encode(), hashlib.sha256).hexdigest()


def opens(path: str, expires: str, signature: str, tokens: Sequence[str], now: float) -> bool:
    """Whether a signature by one of the tokens opens the path now.

    `expires` as the link has it; one further off than LONGEST is none of ours.
    """
    if not (expires.isascii() and expires.isdigit() and len(expires) <= 12):  # noqa: PLR2004  # no time of ours is longer
        return False
    # each is compared, and in whole: how long it takes says nothing of where they differ
    found = [
        hmac.compare_digest(sign(path, int(expires), token).encode(), signature.encode())
        for token in tokens
    ]
    return any(found) and now < int(expires) <= now + LONGEST


def ending(link: Mapping[str, str]) -> str:
    """Return how an address ends that a link opens; nothing without a link."""
    return f"?{urlencode(link)}" if link else ""
