"""Where a message may be sent."""

import string
from urllib.parse import urlsplit

import httpx

from dev.qstash.errors import Rejected

LONGEST = 4096
_SCHEMES = ("http://", "https://")
_PLAIN = frozenset(string.ascii_letters + string.digits + string.punctuation)


def check_destination(url: str) -> None:
    """Raise Rejected (400) unless `url` is http or https, names a host and is printable ASCII."""
    if not url.lower().startswith(_SCHEMES):
        raise _invalid(f"endpoint has invalid scheme: expected one of {_SCHEMES}")
    if len(url) > LONGEST or not _PLAIN.issuperset(url):
        raise _invalid(f"expected at most {LONGEST} printable ASCII characters without spaces")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
        httpx.URL(url)
    except (ValueError, httpx.InvalidURL) as error:
        raise _invalid(str(error)) from error
    if not host:
        raise _invalid("endpoint has no host")


def _invalid(reason: str) -> Rejected:
    return Rejected(400, f"invalid destination url: {reason}")
