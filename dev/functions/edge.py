"""The stand-in for Vercel's edge: it starts the functions, and takes each request to its own."""

import asyncio
import ssl
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import httpx
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from dev.functions.process import NotStarted, Process
from dev.functions.program import from_bundle, from_source, function_files, route_of
from dev.functions.rewrites import rewrites_of
from dev.functions.wire import error_page, rfc3339, to_client, to_function

MAX_BODY = 4_500_000
MAX_LOG_LINES = 10_000
MAX_ANSWERS = 1000
_LAST_BREATH_SECONDS = 0.2


class Functions:
    """The functions below `root`, one process each, started by the first request for it.

    `functions` are their files, by default every file below `api/` that Vercel takes for one;
    `bundles` are instead the folders below `root` that bundles of `vercel build` lie in, named
    as their route. A function sees `environ`, PATH and what the runtime needs; nothing else.
    `environ` is read at every start: it may get the URL at which this is served afterwards.
    One that does not answer within `max_duration` seconds is killed, with all its requests; it is
    told that so many are left, less those that it `waited` for, as if it had started slowly.
    An answer is passed on once it is complete; the last MAX_ANSWERS stay in `answers`, each its
    headers and its body.
    """

    def __init__(
        self,
        root: Path,
        environ: Mapping[str, str],
        *,
        functions: tuple[str, ...] | None = None,
        bundles: tuple[str, ...] | None = None,
        max_duration: float = 300.0,
    ) -> None:
        root = root.resolve()
        if bundles is None:
            files = function_files(root) if functions is None else functions
            self._programs = {route_of(file): from_source(root, file) for file in files}
        else:
            self._programs = {f"/{name}": from_bundle(root / name) for name in bundles}
        self._rewrites = rewrites_of(root)
        self._environ = environ
        self.max_duration = max_duration
        self.waited = 0.0
        self._processes: dict[str, Process] = {}
        self._sockets = TemporaryDirectory(prefix="functions-")
        # A new connection for every request: a kept one could be closed by the function just as
        # the next request is sent. The context is never used; the default one takes 0.1 s.
        self._transport = httpx.AsyncHTTPTransport(
            verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
            limits=httpx.Limits(max_keepalive_connections=0),
        )
        self._logs: deque[str] = deque(maxlen=MAX_LOG_LINES)
        self.answers: deque[bytes] = deque(maxlen=MAX_ANSWERS)
        self.starts = 0

    @property
    def logs(self) -> list[str]:
        """What the functions have logged and written up to now, the last MAX_LOG_LINES lines."""
        for process in self._processes.values():
            process.catch_up()
        return list(self._logs)

    def pid(self, route: str) -> int | None:
        """Return the process id of the warm instance at `route`, None if there is none."""
        process = self._processes.get(route)
        return None if process is None else process.pid

    def kill(self, route: str | None = None) -> None:
        """Kill (SIGKILL) the instance at `route`, or all; they are gone when this returns."""
        for name, process in self._processes.items():
            if route in (None, name):
                process.kill()

    async def close(self) -> None:
        """End all instances with the grace that Vercel gives; the object is of no use then."""
        await asyncio.gather(*(process.stop() for process in self._processes.values()))
        await self._transport.aclose()
        self._sockets.cleanup()

    @property
    def app(self) -> ASGIApp:
        """The ASGI application, to be served in the event loop that calls the other methods."""
        return self

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        request = Request(scope, receive)
        try:
            response = await self._respond(request)
        except ClientDisconnect:
            return
        await response(scope, receive, send)

    async def _respond(self, request: Request) -> Response:
        request_id = f"dev1::{uuid4().hex}"
        route = self._route(request.scope["path"])
        if route not in self._programs:
            return error_page(404, "NOT_FOUND", request_id)
        body = await _body(request)
        if body is None:
            return error_page(413, "FUNCTION_PAYLOAD_TOO_LARGE", request_id)
        process = self._process(route)
        try:
            port = await process.port()
        except NotStarted:
            return error_page(500, "FUNCTION_INVOCATION_FAILED", request_id)
        left = self.max_duration - self.waited
        invocation = _invocation(request, body, port, request_id, left)
        try:
            async with asyncio.timeout(self.max_duration):
                answer = await self._transport.handle_async_request(invocation)
                content = b"".join([chunk async for chunk in answer.aiter_raw()])
        except TimeoutError:
            process.kill()
            return error_page(504, "FUNCTION_INVOCATION_TIMEOUT", request_id)
        except httpx.TransportError:
            # Its connections may close a moment before the process is seen to have ended.
            await process.ended(_LAST_BREATH_SECONDS)
            return error_page(502, "FUNCTION_INVOCATION_FAILED", request_id)
        said = b"".join(name + b": " + value + b"\n" for name, value in answer.headers.raw)
        self.answers.append(said + content)
        response = Response(content, answer.status_code)
        response.raw_headers = to_client(answer.headers.raw)
        return response

    def _route(self, path: str) -> str:
        if path not in self._programs:
            for rewrite in self._rewrites:
                if rewrite.source.fullmatch(path):
                    return rewrite.route
        return path

    def _process(self, route: str) -> Process:
        process = self._processes.get(route)
        if process is None or process.pid is None:
            process = self._processes[route] = Process(
                self._programs[route], self._environ, Path(self._sockets.name), self._logs.append
            )
            self.starts += 1
        return process


async def _body(request: Request) -> bytes | None:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            return None
    return bytes(body)


def _invocation(
    request: Request, body: bytes, port: int, request_id: str, seconds: float
) -> httpx.Request:
    deadline = datetime.now(UTC) + timedelta(seconds=seconds)
    headers = to_function(
        request.headers.raw,
        {
            "x-forwarded-for": "127.0.0.1",
            "x-forwarded-host": request.headers.get("host", ""),
            "x-forwarded-proto": "http",
            "x-real-ip": "127.0.0.1",
            "x-vercel-id": request_id,
            "x-vercel-internal-deadline": rfc3339(deadline),
            "x-vercel-internal-invocation-id": request_id,
            "x-vercel-internal-request-id": "1",
        },
    )
    target = request.scope["raw_path"]
    if request.scope["query_string"]:
        target += b"?" + request.scope["query_string"]
    return httpx.Request(
        request.method,
        f"http://127.0.0.1:{port}",
        headers=headers,
        content=body,
        # As it came: a URL object would normalise it.
        extensions={"target": target},
    )
