import asyncio
import json
import logging
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from lib.errors import (
    EmbeddingError,
    Malformed,
    ServiceError,
    SettingError,
    TooLarge,
    Unauthorized,
    Unavailable,
)
from lib.web.answer import answered
from lib.web.deadline import MAX_DURATION_SECONDS, SHARE, stop_at

SAID = "what only the log may say"


async def answer(error: Exception) -> httpx.Response:
    async def fail(_: Request) -> Response:
        raise error

    app = Starlette(routes=[Route("/", answered(fail), methods=["POST"])])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as http:
        return await http.post("/")


@pytest.mark.parametrize(
    ("error", "status", "says"),
    [
        (Unauthorized(SAID), 401, "unauthorized"),
        (TooLarge(SAID), 413, "too large"),
        (Malformed(SAID), 489, "malformed"),
        (Unavailable(SAID), 503, "unavailable"),
        (EmbeddingError(SAID), 500, "internal error"),
        (SettingError(SAID), 500, "internal error"),
        (ServiceError(SAID), 500, "internal error"),
        (RuntimeError(SAID), 500, "internal error"),
        (RecursionError(SAID), 500, "internal error"),
        (TimeoutError(SAID), 500, "internal error"),
    ],
    ids=repr,
)
async def test_error_is_answered_by_its_kind_and_what_it_says_is_for_the_log(
    caplog: pytest.LogCaptureFixture, error: Exception, status: int, says: str
):
    caplog.set_level(logging.INFO, "user_embeddings")
    answered = await answer(error)
    assert (answered.status_code, answered.json()) == (status, {"error": says})
    assert SAID not in str(answered.headers)
    [record] = caplog.records
    logged = json.loads(record.getMessage())
    assert SAID in str(logged)
    assert logged["path"] == "/"


async def test_only_what_may_pass_is_to_be_retried_later_and_only_what_never_will_is_not():
    for error in (Unauthorized(SAID), TooLarge(SAID), RuntimeError(SAID)):
        headers = (await answer(error)).headers
        assert "retry-after" not in headers
        assert "upstash-nonretryable-error" not in headers
    assert (await answer(Unavailable(SAID))).headers["Retry-After"] == "60"
    assert (await answer(Malformed(SAID))).headers["Upstash-NonRetryable-Error"] == "true"


async def test_work_stops_with_time_left_to_finish_what_was_begun():
    now = asyncio.get_running_loop().time()
    assert stop_at() == pytest.approx(now + 0.7 * 300, abs=1)
    assert (SHARE, MAX_DURATION_SECONDS) == (0.7, 300)
    assert datetime.now(UTC) + timedelta(seconds=stop_at() - now) > datetime.now(UTC)
