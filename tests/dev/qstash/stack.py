"""A QStash stand-in and a destination on a port, and the official SDK's clients."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import httpx
from qstash import AsyncQStash, QStash, Receiver
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from dev.qstash import DEV_TOKEN, Broker, Delivery
from dev.serve import serve


@dataclass(frozen=True)
class Received:
    """What arrived at the destination: `target` is path and query as they came."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Destination:
    """An ASGI application that records requests and answers them in turn, then 200."""

    answers: list[Response] = field(default_factory=list)
    requests: list[Received] = field(default_factory=list)
    seconds: float = 0.0
    active: int = 0
    most_active: int = 0
    _arrival: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        body = await request.body()
        target = scope["raw_path"] + (b"?" + scope["query_string"]).rstrip(b"?")
        self.requests.append(Received(request.method, target.decode(), dict(request.headers), body))
        self._arrival.set()
        self.active += 1
        self.most_active = max(self.most_active, self.active)
        await asyncio.sleep(self.seconds)
        self.active -= 1
        answer = self.answers.pop(0) if self.answers else Response("done")
        await answer(scope, receive, send)

    async def until(self, number: int) -> None:
        """Wait until so many requests have arrived."""
        while len(self.requests) < number:
            self._arrival.clear()
            await self._arrival.wait()

    @property
    def bodies(self) -> list[bytes]:
        """The bodies in order of arrival."""
        return [request.body for request in self.requests]


@dataclass(frozen=True)
class Stack:
    """The running parts: `url` is the base URL of both, `there` a URL of the destination."""

    broker: Broker
    destination: Destination
    url: str
    there: str

    def verify_all(self) -> None:
        """Let the official Receiver check every request that arrived."""
        receiver = Receiver(self.broker.keys.current, self.broker.keys.next)
        for request in self.destination.requests:
            receiver.verify(
                signature=request.headers["upstash-signature"],
                body=request.body.decode(),
                url=self.url + request.target,
            )


@dataclass(frozen=True)
class Sdk:
    """One of the SDK's two clients; `call` runs one of its methods off the event loop."""

    client: Any
    call: Callable[..., Awaitable[Any]]


@dataclass
class Port:
    """What is served on a port: a stack that can be replaced by a fresh one."""

    url: str = ""
    stack: Stack | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self.stack
        to_broker = scope["path"].startswith("/v2/")
        await (self.stack.broker.app if to_broker else self.stack.destination)(scope, receive, send)

    def fresh(self) -> Stack:
        """Return a new stand-in and a new destination behind the port."""
        self.stack = Stack(Broker(), Destination(), self.url, self.url + "/in")
        return self.stack


@asynccontextmanager
async def open_port() -> AsyncIterator[Port]:
    """Serve whatever stack is put behind the port; many tests share it as it is slow to close."""
    port = Port()
    async with serve(port) as port.url:
        yield port


@asynccontextmanager
async def direct(broker: Broker, token: str | None = f"Bearer {DEV_TOKEN}") -> AsyncIterator[Any]:
    """Yield a plain HTTP client of the stand-in, without a port between."""
    headers = {} if token is None else {"Authorization": token.encode("latin-1")}
    transport = httpx.ASGITransport(broker.app)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://stand-in", headers=headers
    ) as client:
        yield client


@asynccontextmanager
async def sync_sdk(url: str, token: str = DEV_TOKEN) -> AsyncIterator[Sdk]:
    """Yield the synchronous client; each call has a thread of its own."""
    client = QStash(token, base_url=url, retry=False)
    try:
        yield Sdk(client, asyncio.to_thread)
    finally:
        client.http._client.close()  # noqa: SLF001  # the SDK has no way to close it


@asynccontextmanager
async def async_sdk(url: str, token: str = DEV_TOKEN) -> AsyncIterator[Sdk]:
    """Yield the asynchronous client."""
    client = AsyncQStash(token, base_url=url, retry=False)

    async def call(method: Callable[..., Awaitable[Any]], /, *args: Any, **kwargs: Any) -> Any:
        return await method(*args, **kwargs)

    try:
        yield Sdk(client, call)
    finally:
        await client.http._client.aclose()  # noqa: SLF001  # the SDK has no way to close it


type Publish = Callable[..., Awaitable[str]]


def publisher(here: Stack, sdk: Sdk) -> Publish:
    """Return a function that publishes a body to the destination and returns the message's id."""

    async def publish(body: str = "x", **options: Any) -> str:
        answer = await sdk.client.message.publish(url=here.there, body=body, **options)
        return str(answer.message_id)

    return publish


def gaps(deliveries: list[Delivery]) -> list[float]:
    """Return the seconds between one attempt's end and the next one's start."""
    return [later.started - earlier.finished for earlier, later in pairwise(deliveries)]
