"""The stand-in's pure parts: delays, durations, flow control, deduplication, cron, signatures."""

import base64
import hashlib
import math
from datetime import UTC, datetime

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dev.qstash import Clock
from dev.qstash.deduplication import Deduplication
from dev.qstash.duration import parse_duration
from dev.qstash.expression import evaluate
from dev.qstash.flow_control import FlowKey, Limits, read_limits
from dev.qstash.retry import backoff, delay, refused, succeeded
from dev.qstash.schedule import next_tick
from dev.qstash.signature import SigningKeys, sign

NOW = datetime(2026, 11, 23, 22, 0, tzinfo=UTC).timestamp()
DAY = 86400


@pytest.mark.parametrize(
    ("retry", "seconds"),
    [(1, 12), (2, 2 * 60 + 28), (3, 30 * 60 + 8), (4, 6 * 3600 + 7 * 60 + 6), (5, DAY), (99, DAY)],
)
def test_backoff_is_the_documented_one(retry: int, seconds: float):
    assert math.floor(backoff(retry)) == seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0s", 0),
        ("10s", 10),
        ("2m", 120),
        ("1d10h30m", 124_200),
        ("3d5h12m", 277_920),
        ("6m5s", 365),
        ("1.5s", 1.5),
        ("250ms", 0.25),
        ("366d", 366 * DAY),
    ],
)
def test_duration_is_read(text: str, seconds: float):
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["", "10", "s", "-1s", "1 s", "1w", "10s ", "1S", "٣s", "367d", "1e3s", "9" * 20 + "s"]
)
def test_duration_refuses_anything_else(text: str):
    with pytest.raises(ValueError, match="expected a duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("expression", "retried", "value"),
    [
        ("1000", 5, 1000),
        ("1000 * (1 + retried)", 2, 3000),
        ("20000 * pow(3, retried)", 2, 180_000),
        ("max(1000, pow(2, retried) * 100)", 1, 1000),
        ("min(10, 20) + abs(-3) - 2", 0, 11),
        ("sqrt(16) + exp(0)", 0, 5),
        ("floor(1.9) + ceil(1.1) + round(2.5)", 0, 6),
        ("7 % 4 / 2", 0, 1.5),
        (" +retried ", 4, 4),
    ],
)
def test_expression_has_its_value(expression: str, retried: int, value: float):
    assert evaluate(expression, retried) == pytest.approx(value)


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "x",
        "retried.real",
        "retried()",
        "__import__('os')",
        "[1][0]",
        "'a' * 3",
        "True",
        "1 if retried else 2",
        "1 < 2",
        "2 ** 9",
        "9 // 2",
        "pow(2)",
        "pow(2, x=1)",
        "min(*[1, 2])",
        "1 / retried",
        "1 % 0",
        "-1",
        "sqrt(-1)",
        "pow(10, 400)",
        "exp(1e9)",
        "1e999",
        "1e308 * 10",
        "lambda: 1",
        "1; 2",
        "(" * 250,
        "-" * 255 + "1",
        "1" * 257,
        "\x00",
    ],
)
def test_expression_refuses_anything_but_arithmetic(expression: str):
    with pytest.raises(ValueError, match=r"expected|cannot"):
        evaluate(expression, 0)


@given(
    st.text(alphabet="0123456789.+-*/%(), abcdefiloprtuwx_[]'\"", max_size=80), st.integers(0, 9)
)
def test_expression_gives_a_delay_or_a_value_error(expression: str, retried: int):
    try:
        value = evaluate(expression, retried)
    except ValueError:
        return
    assert math.isfinite(value)
    assert value >= 0


@pytest.mark.parametrize(
    ("retried", "expression", "headers", "seconds"),
    [
        (0, None, {}, math.exp(2.5)),
        (2, None, {}, math.exp(7.5)),
        (9, None, {}, DAY),
        (0, "20000 * pow(3, retried)", {}, 20),
        (2, "20000 * pow(3, retried)", {}, 180),
        (0, "1e12", {}, DAY),
        (0, "5000", {"retry-after": "60"}, 60),
        (0, None, {"retry-after": " 0 "}, 0),
        (0, None, {"retry-after": "999999999999"}, DAY),
        (0, None, {"retry-after": "Mon, 23 Nov 2026 22:01:30 GMT"}, 90),
        (0, None, {"retry-after": "Mon, 23 Nov 2026 21:00:00 GMT"}, 0),
        (0, None, {"x-ratelimit-reset": "6m5s"}, 365),
        (0, None, {"x-ratelimit-reset-requests": "1s"}, 1),
        (0, None, {"x-ratelimit-reset-tokens": "7"}, 7),
        (0, None, {"x-ratelimit-reset": "7", "retry-after": "8"}, 8),
        (0, "5000", {"retry-after": "soon"}, 5),
        (0, "5000", {"retry-after": "-3"}, 5),
        (0, "5000", {"retry-after": "", "x-ratelimit-reset": "9"}, 9),
    ],
)
def test_delay_is_the_headers_then_the_expression_then_the_backoff(
    retried: int, expression: str | None, headers: dict[str, str], seconds: float
):
    assert delay(retried, expression, headers, NOW) == pytest.approx(seconds)


def test_success_is_2xx():
    statuses = [None, 0, 199, 200, 202, 299, 300, 404, 500]
    assert [status for status in statuses if succeeded(status)] == [200, 202, 299]


def test_retries_are_refused_by_status_and_header_together():
    name = "upstash-nonretryable-error"
    assert refused(489, {name: "true"})
    assert not refused(489, {name: "false"})
    assert not refused(489, {})
    assert not refused(500, {name: "true"})
    assert not refused(None, {})


@pytest.mark.parametrize(
    ("value", "limits"),
    [
        ("parallelism=2, rate=3, period=60s", Limits("k", 2, 3, 60)),
        ("parallelism=1", Limits("k", 1)),
        ("rate=10,period=1d", Limits("k", None, 10, DAY)),
        ("rate=10, period=30", Limits("k", None, 10, 30)),
    ],
)
def test_limits_are_read(value: str, limits: Limits):
    assert read_limits("k", value) == limits


def test_flow_key_opens_when_parallelism_and_rate_allow():
    flow = FlowKey("k")
    flow.configure(Limits("k", 1, 2, 60))
    assert flow.opens(NOW) == NOW
    flow.start(NOW)
    assert flow.opens(NOW) == math.inf
    flow.finish()
    assert flow.opens(NOW + 1) == NOW + 1
    flow.start(NOW + 1)
    flow.finish()
    assert flow.opens(NOW + 2) == NOW + 60
    flow.start(NOW + 60)
    flow.finish()
    assert flow.opens(NOW + 61) == NOW + 61
    flow.paused = True
    assert flow.opens(NOW + 999) == math.inf


def test_deduplication_lasts_ten_minutes_from_the_first_message():
    known = Deduplication()
    assert known.find("a", NOW) is None
    known.remember("a", "msg_1", NOW)
    known.remember("b", "msg_2", NOW + 300)
    assert known.find("a", NOW + 599) == "msg_1"
    assert known.find("a", NOW + 600) is None
    assert known.find("b", NOW + 600) == "msg_2"
    known.remember("a", "msg_3", NOW + 600)
    assert known.find("a", NOW + 1199) == "msg_3"


@pytest.mark.parametrize(
    ("cron", "after", "then"),
    [
        ("0 */2 * * *", "2026-11-23T22:00:00Z", "2026-11-24T00:00:00Z"),
        ("0 */2 * * *", "2026-11-23T21:59:59Z", "2026-11-23T22:00:00Z"),
        ("CRON_TZ=Europe/Berlin 0 9 * * *", "2026-11-23T09:00:00Z", "2026-11-24T08:00:00Z"),
        ("CRON_TZ=Europe/Berlin 0 9 * * *", "2026-07-01T09:00:00Z", "2026-07-02T07:00:00Z"),
        ("CRON_TZ=Asia/Kolkata 30 0 * * MON", "2026-11-23T00:00:00Z", "2026-11-29T19:00:00Z"),
        ("0 0 29 2 *", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z"),
    ],
)
def test_tick_comes_in_utc_or_the_named_zone(cron: str, after: str, then: str):
    at = next_tick(cron, datetime.fromisoformat(after).timestamp())
    assert datetime.fromtimestamp(at, UTC) == datetime.fromisoformat(then)


def test_clock_goes_on_by_itself_and_jumps_forward_only():
    clock = Clock()
    before = clock.now()
    assert clock.now() >= before
    clock.jump(3600)
    assert before + 3600 <= clock.now() < before + 3660
    with pytest.raises(ValueError, match="forward"):
        clock.jump(-1)


def test_signature_says_what_qstash_says():
    token = sign("https://host/path?x=1", b"\xff\x00", "sig_0123456789012345678901234567", NOW)
    claims = jwt.decode(
        token,
        "sig_0123456789012345678901234567",
        algorithms=["HS256"],
        options={"verify_exp": False, "verify_iat": False},
    )
    assert claims.pop("jti").startswith("jwt_")
    assert claims == {
        "iss": "Upstash",
        "sub": "https://host/path?x=1",
        "exp": NOW + 300,
        "nbf": 0,
        "iat": NOW,
        "body": base64.urlsafe_b64encode(hashlib.sha256(b"\xff\x00").digest()).decode(),
    }
    assert jwt.get_unverified_header(token) == {"alg": "HS256", "typ": "JWT"}


def test_rotated_keys_sign_with_what_was_the_next_key():
    keys = SigningKeys("sig_current", "sig_next")
    keys.rotate()
    assert (keys.current, keys.next[:4], len(keys.next)) == ("sig_next", "sig_", 32)
