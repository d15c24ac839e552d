"""The HTTP side of the stand-in: who may ask, what is answered, where faults come in."""

import asyncio
from pathlib import Path
from typing import Any, Self

import orjson
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from dev.serve import cut
from dev.upstash.command import Malformed, parse_many, parse_one, parse_path, result
from dev.upstash.hook import Drop, Hook, Refuse, Request, Stage
from dev.upstash.info import info
from dev.upstash.resp import Reply, execute

TIMEOUT = 30.0  # seconds for all commands of a request
KEPT = 1000  # requests
KEPT_BYTES = 64_000_000

UNAUTHORIZED = (
    "WRONGPASS invalid or missing auth token. "
    "See https://docs.upstash.com/redis/troubleshooting/http_unauthorized for details."
)
TOO_LARGE = (
    "ERR max request size exceeded. Limit: {limit} bytes, Actual: {size} bytes. "
    "See https://upstash.com/docs/redis/troubleshooting/max_request_size_exceeded for details"
)


class Upstash:
    """An ASGI application, to be served by `serve(upstash.app)` and closed before that block ends.

    A body may have `max_request` bytes. `on_request` is awaited at both stages of every request
    that has the token and parses; it may wait, or raise Refuse or Drop.
    """

    def __init__(self, valkey_address: Path, *, token: str, max_request: int = 10_000_000) -> None:
        self.requests: list[Request] = []  # the last ones, oldest first
        self.on_request: Hook | None = None
        self._address = valkey_address
        self._token = token
        self._max_request = max_request
        self._answered = 0
        self._open: set[asyncio.Task[Any]] = set()

    @property
    def app(self) -> Self:
        return self

    async def close(self) -> None:
        """Cut off every request that still waits for its answer."""
        waiting = list(self._open)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answering = asyncio.create_task(self._respond(HttpRequest(scope, receive)))
        self._open.add(answering)
        answering.add_done_callback(self._open.discard)
        try:
            response = await answering
        except (Drop, ClientDisconnect, asyncio.CancelledError):
            await cut(send)
        else:
            await response(scope, receive, send)

    async def _respond(self, http: HttpRequest) -> Response:
        body, size = await self._read(http)
        request = Request(http.scope["path"], [], size)
        self._keep(request)
        response = await self._answer(http, body, request)
        request.status = response.status_code
        self._answered += 1
        response.headers["Upstash-Sync-Token"] = str(self._answered)
        return response

    async def _answer(self, http: HttpRequest, body: bytes, request: Request) -> Response:
        if not self._authorized(http):
            return _json({"error": UNAUTHORIZED}, 401)
        if request.size > self._max_request:
            text = TOO_LARGE.format(limit=self._max_request, size=request.size)
            return _json({"error": text}, 400)
        try:
            request.commands = _parse(http, body)
            await self._tell(request, Stage.ARRIVED)
            response = await self._execute(http, request)
            await self._tell(request, Stage.EXECUTED)
        except Malformed as malformed:
            return _json({"error": str(malformed)}, 400)
        except Refuse as refuse:
            return Response(refuse.body, refuse.status, media_type=refuse.content_type)
        return response

    async def _execute(self, http: HttpRequest, request: Request) -> Response:
        commands = request.commands
        if request.path == "/multi-exec":
            commands = [["MULTI"], *commands, ["EXEC"]]
        try:
            async with asyncio.timeout(TIMEOUT):
                replies = await execute(self._address, commands)
        except (OSError, EOFError, ValueError) as error:
            return _json({"error": f"ERR no answer from the server: {type(error).__name__}"}, 500)

        encoded = http.headers.get("Upstash-Encoding") == "base64"
        if request.path != "/multi-exec":
            replies = [*map(_told, commands, replies)]
        last = replies[-1]
        if request.path == "/pipeline":
            return _json([result(reply, encoded=encoded) for reply in replies])
        if request.path == "/multi-exec" and isinstance(last, list):
            return _json([result(reply, encoded=encoded) for reply in last])
        answer = result(last, encoded=encoded)
        return _json(answer, 400 if "error" in answer else 200)

    async def _read(self, http: HttpRequest) -> tuple[bytes, int]:
        """Return the body (empty if it is too large) and how many bytes came."""
        body, size = bytearray(), 0
        async for chunk in http.stream():
            size += len(chunk)
            if size <= self._max_request:
                body += chunk
        return bytes(body) if size <= self._max_request else b"", size

    def _authorized(self, http: HttpRequest) -> bool:
        bearer = http.headers.get("Authorization", "").removeprefix("Bearer ")
        return self._token in (bearer, http.query_params.get("_token"))

    async def _tell(self, request: Request, stage: Stage) -> None:
        if self.on_request is not None:
            await self.on_request(request, stage)

    def _keep(self, request: Request) -> None:
        self.requests.append(request)
        while len(self.requests) > KEPT or sum(kept.size for kept in self.requests) > KEPT_BYTES:
            del self.requests[0]


def _parse(http: HttpRequest, body: bytes) -> list[list[str]]:
    match http.scope["path"]:
        case "/":
            return [parse_one(body)]
        case "/pipeline" | "/multi-exec":
            return parse_many(body)
        case _:
            path, query = http.scope["raw_path"], http.scope["query_string"]
            return [parse_path(path.decode("latin-1"), query.decode("latin-1"), body)]


def _told(command: list[str], reply: Reply) -> Reply:
    if command[0].upper() == "INFO" and isinstance(reply, bytes):
        return info(command, reply)
    return reply


def _json(answer: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(answer), status, media_type="application/json")
