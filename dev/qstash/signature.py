"""The token in `Upstash-Signature`, and the keys that sign it."""

import base64
import hashlib
import uuid
from dataclasses import dataclass

import jwt

LIFETIME = 300


def sign(url: str, body: bytes, key: str, now: float) -> str:
    """Return the token for `body` sent to `url`, valid from `now` (unix seconds) for 5 minutes."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(body).digest())
    claims = {
        "iss": "Upstash",
        "sub": url,
        "exp": int(now) + LIFETIME,
        "nbf": 0,
        "iat": int(now),
        "jti": f"jwt_{uuid.uuid4().hex}",
        "body": digest.decode(),
    }
    return jwt.encode(claims, key, algorithm="HS256")


@dataclass
class SigningKeys:
    """The key that signs, and the one that will after the next rotation."""

    current: str
    next: str

    def sign(self, url: str, body: bytes, now: float) -> str:
        """Return the token for `body` sent to `url` at `now`."""
        return sign(url, body, self.current, now)

    def rotate(self) -> None:
        """Let the next key sign from now on, and make a new next one."""
        self.current, self.next = self.next, f"sig_{uuid.uuid4().hex[:28]}"
