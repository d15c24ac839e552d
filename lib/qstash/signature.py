"""The proof that a request is QStash's: a token that names sender, URL, time and body."""

import base64
import hashlib
import hmac
from typing import Any

import jwt

from lib.errors import Unauthorized
from lib.qstash.document import parse_object
from lib.settings import SigningKeys

ISSUER = "Upstash"
ALGORITHM = "HS256"
LEEWAY = 30
LIFETIME = 300
LONGEST_TOKEN = 8192
_LAST_SECOND = 2**53

_jws = jwt.PyJWS(algorithms=[ALGORITHM])


def verify(token: str | None, body: bytes, url: str, keys: SigningKeys, now: float) -> None:
    """Raise Unauthorized unless `token` proves that QStash sent exactly `body` to exactly `url`.

    Either key may have signed it. `now` is in unix seconds, and the clocks may differ by LEEWAY.
    The error's message is a short reason for the log, without anything of the request.
    """
    claims = _claims(token, keys)
    if claims.get("iss") != ISSUER:
        raise Unauthorized("wrong issuer")
    if claims.get("aud"):
        raise Unauthorized("wrong audience")
    if claims.get("sub") != url:
        raise Unauthorized("wrong url")
    if now - LEEWAY >= _time(claims, "exp"):
        raise Unauthorized("expired")
    if now + LEEWAY < _time(claims, "nbf"):
        raise Unauthorized("not yet valid")
    if now + LEEWAY < _time(claims, "iat"):
        raise Unauthorized("issued in the future")
    if not hmac.compare_digest(_text(claims, "body").removesuffix("="), _digest(body)):
        raise Unauthorized("wrong body")


def sign(body: bytes, url: str, key: str, now: float, token_id: str) -> str:
    """Return the token QStash would send with `body` to `url`, good for LIFETIME seconds."""
    claims = {
        "iss": ISSUER,
        "sub": url,
        "exp": int(now) + LIFETIME,
        "nbf": 0,
        "iat": int(now),
        "jti": token_id,
        "body": _digest(body) + "=",
    }
    return jwt.encode(claims, key, algorithm=ALGORITHM)


def _claims(token: str | None, keys: SigningKeys) -> dict[str, Any]:
    if not token:
        raise Unauthorized("no signature")
    if len(token) > LONGEST_TOKEN:
        raise Unauthorized("too long")
    if not token.isascii():
        raise Unauthorized("malformed")
    for key in (keys.current, keys.next):
        try:
            signed = _jws.decode_complete(token, key, [ALGORITHM])
        except (jwt.InvalidSignatureError, jwt.InvalidKeyError):
            continue
        except jwt.InvalidAlgorithmError:
            raise Unauthorized("wrong algorithm") from None
        except jwt.PyJWTError:
            raise Unauthorized("malformed") from None
        if "crit" in signed["header"]:
            raise Unauthorized("unknown extension")
        try:
            return parse_object(signed["payload"])
        except ValueError:
            raise Unauthorized("malformed claims") from None
    raise Unauthorized("wrong key")


def _time(claims: dict[str, Any], name: str) -> int:
    seconds = claims.get(name)
    # a bool is an int to Python; beyond 2**53 a comparison with the float clock means nothing
    if type(seconds) is not int or not 0 <= seconds < _LAST_SECOND:
        raise Unauthorized(f"malformed {name}")
    return seconds


def _text(claims: dict[str, Any], name: str) -> str:
    text = claims.get(name)
    if not isinstance(text, str) or not text.isascii():
        raise Unauthorized(f"malformed {name}")
    return text


def _digest(body: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(body).digest()).decode().removesuffix("=")
