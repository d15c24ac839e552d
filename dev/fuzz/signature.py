"""Tokens of strangers: none is taken that was not made with a key, and all are judged alike."""

import base64
import hashlib
import hmac
import json
import math
from typing import Any

from dev.fuzz.reading import TooDeep, read
from lib.errors import Unauthorized
from lib.qstash.signature import verify
from lib.settings import SigningKeys

URL = "https://app.example/api/actions/batch-process"
NOW = 1_790_000_000
BODY = b"{}"
KEYS = SigningKeys("sig_current".ljust(32, "0"), "sig_next".ljust(32, "0"))
STRANGERS = "sig_stranger".ljust(32, "0")
HEADER = b'{"alg":"HS256","typ":"JWT"}'


def check(data: bytes) -> None:
    """Judge the token that `data` is, or of which it is a part, with our judge and by hand.

    The first byte says which part, and which key signs: 0 the whole token, 1 claims under a key of
    ours, 2 a header under a key of ours, 3 claims under a stranger's key, 4 a body.
    """
    kind, rest = data[:1], data[1:]
    body = BODY
    match kind:
        case b"1":
            token = seal(HEADER, rest, KEYS.next)
        case b"2":
            token = seal(rest, claims(BODY), KEYS.current)
        case b"3":
            token = seal(HEADER, rest, STRANGERS)
        case b"4":
            token, body = seal(HEADER, claims(BODY), KEYS.current), rest
        case _:
            token = rest.decode("latin-1")
    try:
        wanted = _genuine(token, body)
    except TooDeep:
        wanted = None
    taken = _taken(token, body)
    if wanted is not None and taken != wanted:
        raise AssertionError(f"taken: {taken}, genuine: {wanted}: {token!r}")
    if taken and kind not in {b"1", b"2", b"4"} and not _sealed(token):
        raise AssertionError(f"forged: {token!r}")


def seal(header: bytes, payload: bytes, key: str) -> str:
    """Return the token with this header and this payload, signed with a key."""
    signing = f"{_spelt(header)}.{_spelt(payload)}"
    return f"{signing}.{_spelt(_code(signing.encode(), key))}"


def claims(body: bytes) -> bytes:
    """Return the claims that QStash would make about a body."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(body).digest()).decode()
    said = {"iss": "Upstash", "sub": URL, "exp": NOW + 300, "nbf": 0, "iat": NOW, "body": digest}
    return json.dumps(said).encode()


def _taken(token: str, body: bytes) -> bool:
    try:
        verify(token, body, URL, KEYS, NOW)
    except Unauthorized:
        return False
    return True


def _genuine(token: str, body: bytes) -> bool:
    """Judge by hand what verify judges."""
    try:
        payload = _unsealed(token)
        said = read(payload)
    except ValueError:
        return False
    return isinstance(said, dict) and _says(said, body)


def _says(said: dict[str, Any], body: bytes) -> bool:
    digest = base64.urlsafe_b64encode(hashlib.sha256(body).digest()).decode()
    return (
        said.get("iss") == "Upstash"
        and not said.get("aud")
        and said.get("sub") == URL
        and _second(said, "exp") > NOW - 30
        and _second(said, "nbf") <= NOW + 30
        and _second(said, "iat") <= NOW + 30
        and said.get("body") in (digest, digest.rstrip("="))
    )


def _second(said: dict[str, Any], name: str) -> float:
    value = said.get(name)
    if type(value) is int and 0 <= value < 2**53:
        return value
    return math.nan  # which compares as false


def _unsealed(token: str) -> bytes:
    """Return the payload of a token that a key of ours signed; ValueError of any other."""
    if not token or len(token) > 8192 or not token.isascii():  # noqa: PLR2004  # as LONGEST_TOKEN
        raise ValueError("no token")
    signing, _, code = token.rpartition(".")
    first, dot, second = signing.partition(".")
    try:
        header = json.loads(_read(first))
    except RecursionError:
        raise ValueError("deep") from None
    if not dot or not isinstance(header, dict) or header.get("alg") != "HS256":
        raise ValueError("no header")
    if "crit" in header or header.get("b64") is False or not isinstance(header.get("kid", ""), str):
        raise ValueError("what is not understood")
    if not _sealed(token):
        raise ValueError("signed by nobody we know")
    _read(code)
    return _read(second)


def _sealed(token: str) -> bool:
    signing, _, code = token.rpartition(".")
    try:
        given = _read(code)
    except ValueError:
        return False
    return any(given == _code(signing.encode(), key) for key in (KEYS.current, KEYS.next))


def _code(signing: bytes, key: str) -> bytes:
    return hmac.digest(key.encode(), signing, "sha256")


def _spelt(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).decode().rstrip("=")


def _read(part: str) -> bytes:
    """Return what a part spells, in the one way there is; padding is right or not there."""
    bare = part.rstrip("=")
    padded = bare + "=" * (-len(bare) % 4)
    data = base64.urlsafe_b64decode(padded.encode())
    if part not in (bare, padded) or _spelt(data) != bare:
        raise ValueError("spelt otherwise")
    return data
