"""One HTTP request to a destination."""

import asyncio
import ssl
from dataclasses import dataclass
from functools import cache

import httpx

from dev.qstash.letter import Headers

LONGEST_ANSWER = 1024 * 1024


@dataclass(frozen=True)
class Answer:
    """What came back; `status` is None if nothing did, and `error` says why."""

    status: int | None
    headers: Headers = ()
    body: bytes = b""
    error: str | None = None


async def send(method: str, url: str, headers: Headers, body: bytes, seconds: float) -> Answer:
    """Send one request over a connection of its own and wait at most `seconds` for the answer.

    Redirects are not followed; of the answer at most 1 MB is kept. Never raises for the network.
    """
    try:
        async with (
            asyncio.timeout(seconds),
            httpx.AsyncClient(verify=_authorities(), trust_env=False, timeout=None) as client,  # noqa: S113  # the timeout above covers all
            client.stream(method, url, headers=list(headers), content=body) as response,
        ):
            return Answer(
                response.status_code,
                tuple(response.headers.multi_items()),
                await _read(response),
            )
    except TimeoutError:
        return Answer(None, error=f"no answer within {seconds:g} s")
    except httpx.HTTPError as error:
        return Answer(None, error=f"{type(error).__name__}: {error}")


async def _read(response: httpx.Response) -> bytes:
    content = b""
    async for part in response.aiter_bytes():
        content += part
        if len(content) >= LONGEST_ANSWER:
            break
    return content[:LONGEST_ANSWER]


@cache
def _authorities() -> ssl.SSLContext:
    # loading them takes longer than a delivery
    return ssl.create_default_context()
