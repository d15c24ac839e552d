import base64
import json
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.errors import Malformed
from lib.qstash.message import (
    Failure,
    Page,
    Snapshot,
    Start,
    deduplication_id,
    encode,
    parse,
    parse_failure,
)

RUN = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff"
PAGE = Page(UUID(RUN), 7)
PART = Snapshot(UUID(RUN), 7)

pages = st.builds(Page, st.uuids(), st.integers(0, 2**31 - 1))
parts = st.builds(Snapshot, st.uuids(), st.integers(0, 2**31 - 1))
messages = pages | parts | st.builds(Start)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def says(run: str = f'"{RUN}"', page: str = "7") -> bytes:
    """Return the body of a page with these spellings of its values."""
    return f'{{"run": {run}, "page": {page}}}'.encode()


def parsed(body: bytes) -> object:
    """Return the message, or Malformed; any other exception fails the test."""
    try:
        return parse(body)
    except Malformed:
        return Malformed


def reread(body: bytes) -> object:
    """Return the failure, or Malformed; any other exception fails the test."""
    try:
        return parse_failure(body)
    except Malformed:
        return Malformed


def sourced(body: str) -> str:
    """Return a message's body as a failure callback quotes it."""
    return base64.b64encode(body.encode()).decode()


def reported(**fields: Any) -> bytes:
    """Return a failure callback's body with these fields."""
    return json.dumps(fields).encode()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", Start()),
        (b"{}", Start()),
        (b" {\r\n\t} ", Start()),
        (says(), PAGE),
        (says(page="0"), Page(UUID(RUN), 0)),
        (says(page=str(2**31 - 1)), Page(UUID(RUN), 2**31 - 1)),
        (f'{{"page":7,"run":"{RUN}"}}\n'.encode(), PAGE),
        (says(run=f'"\\u0036{RUN[1:]}"'), PAGE),
        (f'{{"run":"{RUN}","page":7,"job":"snapshot"}}'.encode(), PART),
    ],
    ids=["empty", "object", "spaces", "page", "first", "last", "order", "escapes", "snapshot"],
)
def test_parse_reads_what_a_message_may_say(body: bytes, message: Start | Page | Snapshot):
    assert parse(body) == message


MALFORMED = {
    "a space": b" ",
    "null": b"null",
    "a list": b"[]",
    "a number": b"7",
    "a text": b'"start"',
    "no JSON": b"start",
    "quotes": b"{'run': 1}",
    "cut off": says()[:-1],
    "trailing garbage": says() + b"x",
    "two objects": b"{}{}",
    "a comma too many": b'{"run": "' + RUN.encode() + b'", "page": 7,}',
    "a comment": b"{} // start",
    "a byte order mark": b"\xef\xbb\xbf{}",
    "only a byte order mark": b"\xef\xbb\xbf",
    "UTF-16": "{}".encode("utf-16"),
    "UTF-32 without mark": "{}".encode("utf-32-le"),
    "bad UTF-8": b'{"run": "\xff", "page": 7}',
    "a nul": b"{}\x00",
    "deep lists": b"[" * 65_000,
    "deep objects": b'{"run":' * 9_000,
    "deep and whole": b'{"run":' + b"[" * 30_000 + b"]" * 30_000 + b',"page":1}',
    "no page": b'{"run": "%s"}' % RUN.encode(),
    "no run": b'{"page": 7}',
    "an unknown field": b'{"run": "%s", "page": 7, "x": 1}' % RUN.encode(),
    "a job": b'{"run": "%s", "page": 7, "job": "rebuild"}' % RUN.encode(),
    "a job that is none": b'{"run": "%s", "page": 7, "job": null}' % RUN.encode(),
    "a job that is a list": b'{"run": "%s", "page": 7, "job": ["snapshot"]}' % RUN.encode(),
    "a job alone": b'{"job": "snapshot"}',
    "only an unknown field": b'{"x": 1}',
    "a field in capitals": b'{"Run": "%s", "page": 7}' % RUN.encode(),
    "run twice": b'{"run": "%s", "page": 7, "run": "%s"}' % (RUN.encode(), RUN.encode()),
    "page twice": b'{"run": "%s", "page": 7, "page": 8}' % RUN.encode(),
    "run null": says(run="null"),
    "run a number": says(run="7"),
    "run a list": says(run=f'["{RUN}"]'),
    "run empty": says(run='""'),
    "run without hyphens": says(run=f'"{RUN.replace("-", "")}"'),
    "run in capitals": says(run=f'"{RUN.upper()}"'),
    "run in braces": says(run=f'"{{{RUN}}}"'),
    "run as a urn": says(run=f'"urn:uuid:{RUN}"'),
    "run with a space": says(run=f'"{RUN} "'),
    "run cut off": says(run=f'"{RUN[:-1]}"'),
    "run with another digit six": says(run='"\\u0666' + RUN[1:] + '"'),
    "run with a nul": says(run=f'"{RUN}\\u0000"'),
    "run a lone surrogate": says(run='"\\ud800"'),
    "run SQL": says(run='"\'; DROP TABLE users --"'),
    "page null": says(page="null"),
    "page true": says(page="true"),
    "page false": says(page="false"),
    "page a text": says(page='"7"'),
    "page a list": says(page="[7]"),
    "page a fraction": says(page="7.5"),
    "page a float": says(page="7.0"),
    "page an exponent": says(page="7e0"),
    "page infinite": says(page="1e999"),
    "page NaN": says(page="NaN"),
    "page Infinity": says(page="Infinity"),
    "page -Infinity": says(page="-Infinity"),
    "page negative": says(page="-1"),
    "page beyond the last": says(page=str(2**31)),
    "page beyond 64 bits": says(page=str(2**64)),
    "page of 5000 digits": says(page="9" * 5000),
    "page with a leading zero": says(page="07"),
    "page with a plus": says(page="+7"),
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED.keys())
def test_parse_refuses_anything_else_as_malformed(body: bytes):
    with pytest.raises(Malformed, match=r"^expected "):
        parse(body)


@given(body=st.binary())
@pytest.mark.fault(25)
def test_parse_bears_any_bytes(body: bytes):
    assert parsed(body) in {Start(), Malformed}


@given(value=json_values)
@pytest.mark.fault(25)
def test_parse_bears_any_json(value: Any):
    assert parsed(json.dumps(value).encode()) in {Start(), Malformed}


@given(fields=st.fixed_dictionaries({"run": json_values, "page": json_values}))
@pytest.mark.fault(25)
def test_parse_refuses_any_other_values(fields: dict[str, Any]):
    assert parsed(json.dumps(fields).encode()) is Malformed


@given(message=messages)
def test_parse_reads_what_encode_wrote(message: Start | Page):
    assert parse(encode(message).encode()) == message


def test_encode_is_compact():
    assert encode(Start()) == "{}"
    assert encode(PAGE) == f'{{"run":"{RUN}","page":7}}'


def test_deduplication_id_is_the_same_for_ever():
    assert (
        deduplication_id(PAGE) == "a759a6cbcdd28a1e47cf32ef6526e1b5ba87ebbd2d0999848c5421cde265ae5a"
    )


@given(one=pages | parts, other=pages | parts)
def test_deduplication_id_tells_pages_apart(one: Page | Snapshot, other: Page | Snapshot):
    assert (deduplication_id(one) == deduplication_id(other)) == (one == other)
    assert len(deduplication_id(one)) == 64
    assert set(deduplication_id(one)) <= set("0123456789abcdef")


@pytest.mark.parametrize(
    ("body", "failure"),
    [
        (reported(status=503, sourceBody=sourced(encode(PAGE))), Failure(PAGE, 503)),
        (reported(status=503, sourceBody=sourced(encode(PART))), Failure(PART, 503)),
        (reported(status=489, sourceBody=sourced("{}")), Failure(Start(), 489)),
        (reported(status=500, sourceBody=""), Failure(Start(), 500)),
        (reported(status=500, sourceBody=None), Failure(Start(), 500)),
        (reported(status=500), Failure(Start(), 500)),
        (reported(status=0, sourceBody=sourced(encode(PAGE))), Failure(PAGE, 0)),
        (reported(sourceBody=sourced(encode(PAGE))), Failure(PAGE, None)),
        (reported(status=None, sourceBody=sourced(encode(PAGE))), Failure(PAGE, None)),
        (b"{}", Failure(Start(), None)),
    ],
    ids=[
        "page",
        "snapshot",
        "start",
        "empty source",
        "null source",
        "no source",
        "no answer",
        "no status",
        "null status",
        "nothing",
    ],
)
def test_parse_failure_reads_what_qstash_reports(body: bytes, failure: Failure):
    assert parse_failure(body) == failure


def test_parse_failure_reads_a_whole_report():
    body = reported(
        status=500,
        header={"Content-Type": ["application/json"], "X-Vercel-Id": ["fra1::a", "iad1::b"]},
        body=base64.b64encode(b'{"status":"unavailable"}').decode(),
        retried=3,
        maxRetries=3,
        dlqId="1725323658779-0",
        sourceMessageId="msg_26hZCxxxxxxxxxxxxxxxxxxxxxxx",
        topicName="",
        endpointName="",
        url="https://app.example/api/actions/batch-process",
        method="POST",
        sourceHeader={"Content-Type": ["application/json"]},
        sourceBody=sourced(encode(PAGE)),
        notBefore="1701198458025",
        createdAt="1701198447054",
        scheduleId="user-embeddings",
        callerIP="127.0.0.1",
    )
    assert parse_failure(body) == Failure(PAGE, 500)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b'{"status": 500',
        b'{"status": NaN}',
        b'{"status": 500, "status": 501}',
        b"[" * 65_000,
        b"\xff",
        reported(status="500"),
        reported(status=500.0),
        reported(status=True),
        reported(status=2**31),
        reported(status=-(2**31)),
        reported(status=[500]),
        reported(sourceBody=7),
        reported(sourceBody=True),
        reported(sourceBody={}),
        reported(sourceBody="{}"),
        reported(sourceBody="e30"),
        reported(sourceBody="e 30="),
        reported(sourceBody="e30=\n"),
        reported(sourceBody="é"),
        reported(sourceBody="\ud800"),
        reported(sourceBody=sourced("[]")),
        reported(sourceBody=sourced('{"run": 1}')),
        reported(sourceBody=sourced("\ufeff{}")),
    ],
    ids=[
        "empty",
        "a list",
        "null",
        "cut off",
        "NaN",
        "status twice",
        "deep",
        "bad UTF-8",
        "status a text",
        "status a float",
        "status true",
        "status huge",
        "status tiny",
        "status a list",
        "source a number",
        "source true",
        "source an object",
        "source not encoded",
        "source without padding",
        "source with a space",
        "source with a line end",
        "source not ASCII",
        "source a lone surrogate",
        "source a list within",
        "source no message",
        "source with a byte order mark",
    ],
)
def test_parse_failure_refuses_anything_else_as_malformed(body: bytes):
    with pytest.raises(Malformed, match=r"^expected "):
        parse_failure(body)


@given(message=messages, status=st.none() | st.integers(0, 999))
def test_parse_failure_finds_any_message(message: Start | Page, status: int | None):
    body = reported(status=status, sourceBody=sourced(encode(message)))
    assert parse_failure(body) == Failure(message, status)


@given(body=st.binary() | json_values.map(lambda value: json.dumps(value).encode()))
@pytest.mark.fault(25)
def test_parse_failure_bears_any_body(body: bytes):
    assert reread(body) in {Failure(Start(), None), Malformed}


@given(
    fields=st.fixed_dictionaries({}, optional={"status": json_values, "sourceBody": json_values})
)
@pytest.mark.fault(25)
def test_parse_failure_bears_any_values(fields: dict[str, Any]):
    outcome = reread(json.dumps(fields).encode())
    assert outcome is Malformed or isinstance(outcome, Failure)
