import base64
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from qstash import Receiver
from qstash.errors import SignatureError

from lib.errors import Unauthorized
from lib.qstash.signature import LONGEST_TOKEN, sign, verify
from lib.settings import SigningKeys
from tests.vectors import make_signatures as made
from tests.vectors.make_signatures import BODY, CURRENT, FILE, HEADER, NEXT, NOW, URL, Vector

KEYS = SigningKeys(CURRENT, NEXT)
REASONS = {
    "expired",
    "issued in the future",
    "malformed",
    "malformed body",
    "malformed claims",
    "malformed exp",
    "malformed iat",
    "malformed nbf",
    "no signature",
    "not yet valid",
    "too long",
    "unknown extension",
    "wrong algorithm",
    "wrong audience",
    "wrong body",
    "wrong issuer",
    "wrong key",
    "wrong url",
}
# Where the official Receiver judges otherwise (qstash 3.4 over PyJWT 2.15), and why it is wrong.
RECEIVER_REFUSES = {
    "expired 29 s ago": "its tolerance reaches PyJWT as an option that PyJWT ignores",
    "valid in 30 s": "the same",
    "issued in 30 s": "the same",
    "body that is no UTF-8": "it wants text",
}
RECEIVER_TAKES = {
    "too long": "it has no bound",
    "extension b64": "RFC 7515: refuse extensions that are not understood; it knows but one value",
    "claim that comes twice": "the last one counts",
    "payload after a byte order mark": "RFC 8259: writers must not add one",
    "hash with too much padding": "it strips whatever is there",
    "exp that is huge": "it is valid for ever",
    "iat that is missing": "it does not ask for one",
} | {
    f"{name} that is {kind}": "it is made an int"
    for name in ("nbf", "iat")
    for kind in ("text", "a fraction", "true", "negative")
}
# What it raises besides its own error: no hash, a hash that is a number, a body that is no text.
RECEIVER_LEAKS = (KeyError, AttributeError, UnicodeDecodeError)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def committed() -> list[Vector]:
    rows: list[dict[str, Any]] = json.loads(FILE.read_text())
    return [Vector(**row | {"body": base64.b64decode(row["body"])}) for row in rows]


def reason(vector: Vector) -> str | None:
    """Return why the vector is refused, None if it is not."""
    keys = SigningKeys(vector.current, vector.next)
    try:
        verify(vector.token, vector.body, vector.url, keys, vector.now)
    except Unauthorized as error:
        return str(error)
    return None


def outcome(token: str | None, body: bytes = BODY, now: float = NOW) -> str | None:
    return reason(Vector("", token, None, body, now=now))


def flips(data: bytes) -> Iterator[bytes]:
    """Yield `data` with each of its bits flipped in turn."""
    for position, byte in enumerate(data):
        for bit in range(8):
            yield data[:position] + bytes([byte ^ 1 << bit]) + data[position + 1 :]


def taken_by_receiver(vector: Vector) -> bool:
    """Whether the official Receiver takes the vector."""
    receiver = Receiver(vector.current, vector.next)
    try:
        receiver.verify(
            signature=vector.token or "",
            body=vector.body.decode(),
            url=vector.url,
            clock_tolerance=30,
        )
    except (SignatureError, *RECEIVER_LEAKS):
        return False
    return True


@pytest.mark.fault(18)
@pytest.mark.parametrize("vector", committed(), ids=lambda vector: vector.name)
def test_verify_judges_each_committed_vector_as_written(vector: Vector):
    assert reason(vector) == vector.reason


def test_vectors_are_what_their_generator_makes():
    assert FILE.read_text() == made.document()


def test_vectors_show_every_reason():
    assert {vector.reason for vector in committed()} == REASONS | {None}


def test_verify_agrees_with_the_official_receiver_where_that_is_right():
    vectors = made.vectors(int(time.time()))
    ours = {vector.name for vector in vectors if vector.reason is None}
    theirs = {vector.name for vector in vectors if taken_by_receiver(vector)}
    assert ours - theirs == set(RECEIVER_REFUSES)
    assert theirs - ours == set(RECEIVER_TAKES)


@pytest.mark.fault(14)
@pytest.mark.parametrize(
    ("claim", "offset", "verdict"),
    [
        ("exp", -31, "expired"),
        ("exp", -30, "expired"),
        ("exp", -29, None),
        ("exp", 30, None),
        ("exp", 31, None),
        ("nbf", -31, None),
        ("nbf", -30, None),
        ("nbf", 30, None),
        ("nbf", 31, "not yet valid"),
        ("iat", -31, None),
        ("iat", -30, None),
        ("iat", 30, None),
        ("iat", 31, "issued in the future"),
    ],
)
def test_verify_forgives_clocks_that_differ_by_up_to_30_s(
    claim: str, offset: int, verdict: str | None
):
    assert outcome(made.token(made.claims(NOW, **{claim: NOW + offset}))) == verdict


@pytest.mark.fault(14)
@pytest.mark.parametrize(
    ("skew", "verdict"),
    [(-31, "issued in the future"), (-30, None), (329, None), (329.9, None), (330, "expired")],
)
def test_verify_takes_a_token_from_30_s_before_until_30_s_after_its_life(
    skew: float, verdict: str | None
):
    assert outcome(sign(BODY, URL, CURRENT, NOW, "jwt_1"), now=NOW + skew) == verdict


@pytest.mark.fault(20)
@pytest.mark.parametrize(
    ("signer", "current", "other", "verdict"),
    [
        (CURRENT, CURRENT, NEXT, None),
        (NEXT, CURRENT, NEXT, None),
        (CURRENT, NEXT, CURRENT, None),
        (CURRENT, NEXT, made.OTHER, "wrong key"),
    ],
    ids=["current", "next", "swapped", "rotated out"],
)
def test_verify_takes_either_key_and_no_third(
    signer: str, current: str, other: str, verdict: str | None
):
    token = sign(BODY, URL, signer, NOW, "jwt_1")
    assert reason(Vector("", token, None, current=current, next=other)) == verdict


@pytest.mark.fault(21)
def test_verify_refuses_a_body_with_any_bit_flipped():
    token = sign(BODY, URL, CURRENT, NOW, "jwt_1")
    assert {outcome(token, flipped) for flipped in flips(BODY)} == {"wrong body"}


@pytest.mark.fault(21)
def test_verify_refuses_a_token_with_any_bit_flipped():
    token = sign(BODY, URL, CURRENT, NOW, "jwt_1").encode()
    assert {outcome(flipped.decode("latin-1")) for flipped in flips(token)} <= REASONS


def test_verify_refuses_a_token_that_is_too_long_without_decoding_it():
    token = made.token(made.claims(NOW, jti="x" * 5000))
    token += "=" * (LONGEST_TOKEN - len(token))
    assert outcome(token) == "malformed"
    assert outcome(token + "=") == "too long"


@given(token=st.text() | st.none(), body=st.binary())
@pytest.mark.fault(18)
def test_verify_refuses_any_text(token: str | None, body: bytes):
    assert outcome(token, body) in REASONS


@given(parts=st.lists(st.binary(), min_size=3, max_size=3))
@pytest.mark.fault(18)
def test_verify_refuses_any_three_segments(parts: list[bytes]):
    assert outcome(".".join(made.encoded(part) for part in parts)) in REASONS


@given(body=st.binary().filter(lambda body: body != BODY))
@pytest.mark.fault(21)
def test_verify_refuses_any_other_body(body: bytes):
    assert outcome(sign(BODY, URL, CURRENT, NOW, "jwt_1"), body) == "wrong body"


@given(body=st.binary(), token_id=st.text(st.characters(codec="utf-8"), max_size=50))
def test_verify_takes_what_sign_makes(body: bytes, token_id: str):
    assert outcome(sign(body, URL, CURRENT, NOW + 0.9, token_id), body) is None


@given(payload=st.binary())
@pytest.mark.fault(18)
def test_verify_refuses_any_signed_payload(payload: bytes):
    assert outcome(made.seal(json.dumps(HEADER).encode(), payload)) in REASONS


@given(header=json_values | st.dictionaries(st.sampled_from(["alg", "crit", "b64"]), json_values))
def test_verify_bears_any_signed_header(header: Any):
    payload = json.dumps(made.claims(NOW)).encode()
    assert outcome(made.seal(json.dumps(header).encode(), payload)) in REASONS | {None}


@given(
    changed=st.dictionaries(
        st.sampled_from(["iss", "aud", "sub", "exp", "nbf", "iat", "jti", "body"]), json_values
    )
)
def test_verify_bears_any_claims(changed: dict[str, Any]):
    assert outcome(made.token(made.claims(NOW, **changed))) in REASONS | {None}


@given(claims=json_values)
def test_verify_refuses_any_other_claims(claims: Any):
    assert outcome(made.token(claims)) in REASONS


def test_sign_makes_what_the_official_receiver_takes():
    token = sign(BODY, URL, CURRENT, time.time(), "jwt_1")
    Receiver(CURRENT, NEXT).verify(signature=token, body=BODY.decode(), url=URL)
