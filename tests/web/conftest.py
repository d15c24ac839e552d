"""The functions, in this process, in front of services that count who knocks."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

import httpx
import pytest
from starlette.applications import Starlette

from dev.proxy import Proxy
from dev.qstash.signature import sign
from lib.web import batch_failed, batch_process
from lib.web.application import create

CURRENT, NEXT = "sig_current".ljust(32, "0"), "sig_next".ljust(32, "0")
APP_URL = "https://app.example"
SETTINGS = {
    "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing",
    "QSTASH_URL": "http://127.0.0.1:1",
    "QSTASH_TOKEN": "a-qstash-token",
    "QSTASH_CURRENT_SIGNING_KEY": CURRENT,
    "QSTASH_NEXT_SIGNING_KEY": NEXT,
    "UPSTASH_REDIS_REST_URL": "http://127.0.0.1:1",
    "UPSTASH_REDIS_REST_TOKEN": "a-redis-token",
    "APP_URL": APP_URL,
}
FUNCTIONS = {batch_process.PATH: batch_process.routes, batch_failed.PATH: batch_failed.routes}
PROCESS, FAILED = FUNCTIONS


def application(path: str, environ: Mapping[str, str] = SETTINGS) -> Starlette:
    """Make the function that answers at a path, as its file in api/ does."""
    return create(lambda _: FUNCTIONS[path](environ))


def client(path: str, environ: Mapping[str, str] = SETTINGS) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(application(path, environ), raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url=APP_URL)


def signed(path: str, body: bytes, key: str = CURRENT) -> dict[str, str]:
    """Return the header that QStash would send with this body."""
    return {"Upstash-Signature": sign(APP_URL + path, body, key, time.time())}


@dataclass
class Services:
    """The services behind the functions: `environ` leads to them, `connections` counts."""

    environ: Mapping[str, str]
    proxy: Proxy
    others: int = 0

    @property
    def connections(self) -> int:
        return self.proxy.connections + self.others

    def knock(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.others += 1
        writer.transport.abort()


@pytest.fixture
async def services(proxy: Proxy) -> AsyncIterator[Services]:
    found = Services({}, proxy)
    server = await asyncio.start_server(found.knock, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    found.environ = SETTINGS | {
        "DATABASE_URL": proxy.url("postgres"),
        "QSTASH_URL": url,
        "UPSTASH_REDIS_REST_URL": url,
    }
    yield found
    server.close()
    await server.wait_closed()
