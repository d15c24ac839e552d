from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from upstash_redis.http import decode

from dev.upstash.command import parse_one, result


@given(st.lists(st.text(), min_size=1))
def test_arguments_that_are_text_are_kept(command: list[str]):
    assert parse_one(orjson.dumps(command)) == command


@pytest.mark.parametrize(
    ("number", "argument"),
    [(0, "0"), (-7, "-7"), (1.0, "1"), (-2.5, "-2.5"), (1e15, "1000000000000000"), (True, "true")],
)
def test_arguments_that_are_numbers_are_spelled_plainly(number: float, argument: str):
    assert parse_one(orjson.dumps(["ECHO", number])) == ["ECHO", argument]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_arguments_that_are_floats_keep_their_value(number: float):
    [_, argument] = parse_one(orjson.dumps(["ECHO", number]))
    assert float(argument) == number


replies = st.recursive(st.none() | st.integers(-(2**63), 2**63 - 1) | st.text(), st.lists)


@settings(max_examples=50)
@given(replies)
def test_replies_in_base64_are_what_the_sdk_decodes(reply: Any):
    assert decode(result(as_bytes(reply), encoded=True)["result"]) == reply


@settings(max_examples=50)
@given(replies)
def test_replies_in_plain_text_are_kept(reply: Any):
    assert result(as_bytes(reply), encoded=False) == {"result": reply}


def as_bytes(reply: Any) -> Any:
    if isinstance(reply, list):
        return [as_bytes(item) for item in reply]
    return reply.encode() if isinstance(reply, str) else reply


def test_base64_encodes_every_string_but_ok():
    assert result([b"OK", b"PONG", b"\xff\x00", b"", None, 1], encoded=True) == {
        "result": ["OK", "UE9ORw==", "/wA=", "", None, 1]
    }
