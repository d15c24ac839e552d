"""Writes signatures.json: tokens for the signature check, made with nothing but the stdlib."""

import base64
import hashlib
import hmac
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("signatures.json")
NOW = 1_800_000_000
URL = "https://app.example/api/actions/batch-process"
BODY = b'{"run":"6f9619ff-8b86-4d01-b42d-00cf4fc964ff","page":9}'
CURRENT = "sig_currentcurrentcurrentcurrent"
NEXT = "sig_nextnextnextnextnextnextnext"
OTHER = "sig_otherotherotherotherotherother"
HEADER = {"alg": "HS256", "typ": "JWT"}
DEEP = b"[" * 3000


@dataclass(frozen=True)
class Vector:
    """A request as it arrives, and the reason for which it is refused (None: it is not)."""

    name: str
    token: str | None
    reason: str | None
    body: bytes = BODY
    url: str = URL
    current: str = CURRENT
    next: str = NEXT
    now: int = NOW


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def digest(body: bytes) -> str:
    return encoded(hashlib.sha256(body).digest())


def claims(now: int, content: bytes = BODY, **changed: Any) -> dict[str, Any]:
    """Return what QStash claims, with changes; a claim changed to ... is left out."""
    usual = {
        "iss": "Upstash",
        "sub": URL,
        "exp": now + 300,
        "nbf": 0,
        "iat": now,
        "jti": "jwt_0",
        "body": digest(content) + "=",
    }
    return {name: value for name, value in (usual | changed).items() if value is not ...}


def seal(header: bytes, payload: bytes, key: str = CURRENT, hashed: str = "sha256") -> str:
    """Return the compact token of these bytes, whatever they are."""
    content = f"{encoded(header)}.{encoded(payload)}"
    return f"{content}.{encoded(hmac.digest(key.encode(), content.encode(), hashed))}"


def token(payload: dict[str, Any], key: str = CURRENT, **header: Any) -> str:
    """Return a token as QStash makes it, with changes to its header."""
    return seal(json.dumps(HEADER | header).encode(), json.dumps(payload).encode(), key)


def vectors(now: int = NOW) -> list[Vector]:
    """Return all vectors as of `now`."""
    made = [*good(now), *shapes(now), *headers(now), *payloads(now), *keys(now), *wrong(now)]
    return [replace(vector, now=now) for vector in made]


def good(now: int) -> list[Vector]:
    binary, queried = b"\x00\xff\xfe\x80", f"{URL}?a=1&b=%2F"
    return [
        Vector("current key", token(claims(now)), None),
        Vector("next key", token(claims(now), NEXT), None),
        Vector("hash without padding", token(claims(now) | {"body": digest(BODY)}), None),
        Vector("empty body", token(claims(now, b"")), None, body=b""),
        Vector("body that is no UTF-8", token(claims(now, binary)), None, body=binary),
        Vector("url with a query", token(claims(now, sub=queried)), None, url=queried),
        Vector("empty audience", token(claims(now, aud="")), None),
        Vector("no id", token(claims(now, jti=...)), None),
        Vector("expired 29 s ago", token(claims(now, exp=now - 29)), None),
        Vector("valid in 30 s", token(claims(now, nbf=now + 30)), None),
        Vector("issued in 30 s", token(claims(now, iat=now + 30)), None),
    ]


def shapes(now: int) -> list[Vector]:
    head, body, signature = token(claims(now)).split(".")
    other_body = token(claims(now, b"{}")).split(".")[1]
    return [
        Vector("no token", None, "no signature"),
        Vector("empty token", "", "no signature"),
        Vector("one segment", head, "malformed"),
        Vector("two segments", f"{head}.{body}", "malformed"),
        Vector("four segments", f"{head}.{body}.{signature}.{signature}", "malformed"),
        Vector("segments of nothing", "..", "malformed"),
        Vector("not base64", f"{head}.!{body[1:]}.{signature}", "malformed"),
        Vector("not ASCII", f"{head}.{body}.é", "malformed"),
        Vector("lone surrogate", f"{head}.{body}.\ud800", "malformed"),
        Vector("spaces around", f" {head}.{body}.{signature} ", "malformed"),
        Vector("with its scheme", f"Bearer {head}.{body}.{signature}", "malformed"),
        Vector("too long", token(claims(now, jti="x" * 6000)), "too long"),
        Vector("no signature segment", f"{head}.{body}.", "wrong key"),
        Vector("cut signature", f"{head}.{body}.{signature[:-3]}", "wrong key"),
        Vector("payload of another token", f"{head}.{other_body}.{signature}", "wrong key"),
    ]


def headers(now: int) -> list[Vector]:
    payload = json.dumps(claims(now)).encode()
    unsigned = token(claims(now), alg="none").rpartition(".")[0] + "."
    sha384 = seal(b'{"alg":"HS384","typ":"JWT"}', payload, hashed="sha384")
    return [
        Vector("algorithm none", unsigned, "wrong algorithm"),
        Vector("algorithm none, signed", token(claims(now), alg="none"), "wrong algorithm"),
        Vector("algorithm HS384", sha384, "wrong algorithm"),
        Vector("algorithm RS256", token(claims(now), alg="RS256"), "wrong algorithm"),
        Vector("algorithm in lower case", token(claims(now), alg="hs256"), "wrong algorithm"),
        Vector("algorithms in a list", token(claims(now), alg=["HS256"]), "wrong algorithm"),
        Vector("algorithm null", token(claims(now), alg=None), "wrong algorithm"),
        Vector("no algorithm", seal(b'{"typ":"JWT"}', payload), "wrong algorithm"),
        Vector("unknown extension", token(claims(now), crit=["x"], x=1), "malformed"),
        Vector("extension b64", token(claims(now), crit=["b64"], b64=True), "unknown extension"),
        Vector("detached payload", token(claims(now), crit=["b64"], b64=False), "malformed"),
        Vector("key id that is a number", token(claims(now), kid=1), "malformed"),
        Vector("header that is a list", seal(b"[]", payload), "malformed"),
        Vector("header that is no JSON", seal(b"{", payload), "malformed"),
        Vector("header that is no UTF-8", seal(b'{"alg":"\xff"}', payload), "malformed"),
        Vector("deep header", seal(DEEP, b"{}"), "malformed"),
    ]


def payloads(now: int) -> list[Vector]:
    header, payload = json.dumps(HEADER).encode(), json.dumps(claims(now)).encode()
    twice = payload.replace(b'{"iss"', b'{"sub": "https://evil.example", "iss"')
    infinite = payload.replace(str(now + 300).encode(), b"1e999")
    contents = {
        "payload that is empty": b"",
        "payload that is no JSON": payload[:-1],
        "payload that is a list": b"[%s]" % payload,
        "payload that is no UTF-8": payload.replace(b"jwt_0", b"\xff"),
        "payload after a byte order mark": b"\xef\xbb\xbf" + payload,
        "deep payload": DEEP,
        "claim that comes twice": twice,
        "exp that is NaN": payload.replace(str(now + 300).encode(), b"NaN"),
    }
    return [
        *(Vector(name, seal(header, text), "malformed claims") for name, text in contents.items()),
        Vector("exp that is infinite", seal(header, infinite), "malformed exp"),
    ]


def keys(now: int) -> list[Vector]:
    empty = token(claims(now), "")
    return [
        Vector("signed with another key", token(claims(now), OTHER), "wrong key"),
        Vector("signed with no key", empty, "wrong key"),
        Vector("signed with no key, current empty", empty, "wrong key", current=""),
        Vector("signed with no key, next empty", empty, "wrong key", next=""),
        Vector(
            "old key after a rotation", token(claims(now)), "wrong key", current=NEXT, next=OTHER
        ),
        Vector("new key before its turn", token(claims(now), OTHER), "wrong key"),
    ]


def wrong(now: int) -> list[Vector]:
    """Return tokens that are well signed but say something else than they should."""
    host, path = "app.example", "/api/actions/batch-process"
    hashed = hashlib.sha256(BODY)
    said: list[tuple[str, dict[str, Any], str]] = [
        ("issuer", {"iss": "upstash"}, "wrong issuer"),
        ("issuer missing", {"iss": ...}, "wrong issuer"),
        ("issuer in a list", {"iss": ["Upstash"]}, "wrong issuer"),
        ("audience", {"aud": "another"}, "wrong audience"),
        ("url missing", {"sub": ...}, "wrong url"),
        ("url that is a number", {"sub": 1}, "wrong url"),
        ("url over http", {"sub": f"http://{host}{path}"}, "wrong url"),
        ("url with a slash", {"sub": f"{URL}/"}, "wrong url"),
        ("url with a query it does not have", {"sub": f"{URL}?a=1"}, "wrong url"),
        ("url in capitals", {"sub": f"https://APP.example{path}"}, "wrong url"),
        ("url with the port", {"sub": f"https://{host}:443{path}"}, "wrong url"),
        ("url of a preview", {"sub": f"https://app-git-x.example{path}"}, "wrong url"),
        (
            "url of the other function",
            {"sub": f"https://{host}/api/actions/batch-failed"},
            "wrong url",
        ),
        ("expired 30 s ago", {"exp": now - 30}, "expired"),
        ("expired 31 s ago", {"exp": now - 31}, "expired"),
        ("valid in 31 s", {"nbf": now + 31}, "not yet valid"),
        ("issued in 31 s", {"iat": now + 31}, "issued in the future"),
        ("hash of another body", {"body": digest(b"{}")}, "wrong body"),
        ("hash in hexadecimal", {"body": hashed.hexdigest()}, "wrong body"),
        (
            "hash in plain base64",
            {"body": base64.b64encode(hashed.digest()).decode()},
            "wrong body",
        ),
        ("hash with too much padding", {"body": digest(BODY) + "=="}, "wrong body"),
        ("hash that is empty", {"body": ""}, "wrong body"),
        ("hash that is not ASCII", {"body": digest(BODY) + "é"}, "malformed body"),
        ("hash with a lone surrogate", {"body": "\ud800"}, "malformed body"),
        ("hash that is a number", {"body": 1}, "malformed body"),
        ("hash missing", {"body": ...}, "malformed body"),
    ]
    said += [
        (f"{name} that is {kind}", {name: value}, f"malformed {name}")
        for name in ("exp", "nbf", "iat")
        for kind, value in [
            ("missing", ...),
            ("null", None),
            ("text", str(now)),
            ("a fraction", now + 0.5),
            ("true", True),
            ("negative", -1),
            ("huge", 10**400),
            ("a list", [now]),
        ]
    ]
    changed = {
        "body with a space more": BODY + b" ",
        "body written anew": json.dumps(json.loads(BODY)).encode(),
        "body in another encoding": BODY.decode().encode("utf-16"),
        "body cut off": b"",
    }
    return [
        *(Vector(name, token(claims(now, **claim)), reason) for name, claim, reason in said),
        *(
            Vector(name, token(claims(now)), "wrong body", body=body)
            for name, body in changed.items()
        ),
    ]


def document() -> str:
    """Return the text of the file; bodies are in base64."""
    rows = [
        asdict(vector) | {"body": base64.b64encode(vector.body).decode()} for vector in vectors()
    ]
    return json.dumps(rows, indent=1) + "\n"


if __name__ == "__main__":
    FILE.write_text(document())
