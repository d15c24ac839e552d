"""A stand-in for S3: moto's server, and a door before it where requests fail as a test likes."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from enum import Enum
from uuid import uuid4

import boto3
import httpx
from moto.server import ThreadedMotoServer
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from dev.serve import cut, serve

SECONDS = 60.0
KEYS = {"AWS_ACCESS_KEY_ID": "local-s3-key", "AWS_SECRET_ACCESS_KEY": "local-s3-secret"}
REGION = "us-east-1"
OWN = {"connection", "content-length", "date", "server", "transfer-encoding"}


class Stage(Enum):
    """How far a request has come when the hook is called."""

    ARRIVED = "arrived"
    EXECUTED = "executed"


@dataclass(frozen=True)
class Request:
    """A request: `key` is empty for one of the whole bucket."""

    method: str
    key: str
    query: str


class Refuse(Exception):
    """Raised by a hook: the request is answered with this status and code of S3's."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(f"{status} {code}")
        self.status = status
        self.code = code


class Drop(Exception):
    """Raised by a hook: the connection is cut without an answer."""


type Hook = Callable[[Request, Stage], Awaitable[None]]


@contextmanager
def moto() -> Iterator[str]:
    """Run moto's server within the block, and yield its URL."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()


class S3:
    """A bucket of its own, reached through a door; `on_request` is awaited at both stages.

    It may wait, or raise Refuse or Drop. `requests`: all that came, in their order.
    """

    def __init__(self, upstream: str) -> None:
        self.bucket = f"snapshots-{uuid4().hex}"
        self.url = ""
        self.on_request: Hook | None = None
        self.requests: list[Request] = []
        self._upstream = httpx.AsyncClient(base_url=upstream, timeout=SECONDS)
        self._open: set[asyncio.Task[Response]] = set()
        # behind the door: what a test itself looks at and changes
        self.client = boto3.session.Session().client(
            "s3",
            endpoint_url=upstream,
            region_name=REGION,
            aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
        )
        self.client.create_bucket(Bucket=self.bucket)

    @classmethod
    @asynccontextmanager
    async def running(cls, upstream: str) -> AsyncIterator["S3"]:
        """Stand before the moto at `upstream` within the block."""
        s3 = cls(upstream)
        try:
            async with serve(s3) as s3.url:
                yield s3
                for task in s3._open:
                    task.cancel()
                await asyncio.gather(*s3._open, return_exceptions=True)
        finally:
            await s3._upstream.aclose()
            s3.client.close()

    @property
    def environ(self) -> dict[str, str]:
        """Where functions and commands find it."""
        return {
            "SNAPSHOT_BUCKET": self.bucket,
            "AWS_ENDPOINT_URL_S3": self.url,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            **KEYS,
        }

    def objects(self) -> dict[str, bytes]:
        """Return every object's bytes by its key, at most a thousand."""
        listed = self.client.list_objects_v2(Bucket=self.bucket).get("Contents", ())
        return {
            entry["Key"]: self.client.get_object(Bucket=self.bucket, Key=entry["Key"])[
                "Body"
            ].read()
            for entry in listed
        }

    def put(self, key: str, body: bytes) -> None:
        """Write an object behind the door, over one that may be there."""
        self.client.put_object(Bucket=self.bucket, Key=key, Body=body)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answering = asyncio.create_task(self._answer(HttpRequest(scope, receive)))
        self._open.add(answering)
        answering.add_done_callback(self._open.discard)
        try:
            response = await answering
        except (Drop, ClientDisconnect, asyncio.CancelledError):
            await cut(send)
        else:
            await response(scope, receive, send)

    async def _answer(self, http: HttpRequest) -> Response:
        body = await http.body()
        key = http.url.path.removeprefix(f"/{self.bucket}").removeprefix("/")
        request = Request(http.method, key, http.url.query)
        self.requests.append(request)
        try:
            await self._tell(request, Stage.ARRIVED)
            answer = await self._upstream.request(
                http.method,
                http.scope["raw_path"].decode() + (f"?{request.query}" if request.query else ""),
                content=body,
                headers={n: v for n, v in http.headers.items() if n != "expect"},
            )
            await self._tell(request, Stage.EXECUTED)
        except Refuse as refuse:
            said = f"<Error><Code>{refuse.code}</Code><Message>refused</Message></Error>"
            return Response(said, refuse.status, media_type="application/xml")
        headers = {name: value for name, value in answer.headers.items() if name not in OWN}
        response = Response(answer.content, answer.status_code, headers)
        if http.method == "HEAD" and "content-length" in answer.headers:
            response.headers["content-length"] = answer.headers["content-length"]
        return response

    async def _tell(self, request: Request, stage: Stage) -> None:
        if self.on_request is not None:
            await self.on_request(request, stage)
