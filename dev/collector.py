"""A collector of OpenTelemetry's, as far as spans over OTLP/HTTP go: it keeps what it is sent."""

import asyncio
import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

PROTOBUF = "application/x-protobuf"
PATH = "/v1/traces"


@dataclass(frozen=True)
class Span:
    """A span as it came: ids in hexadecimal, `parent` empty without one, times in nanoseconds."""

    name: str
    trace: str
    id: str
    parent: str
    begun: int
    ended: int
    attributes: dict[str, str | int]
    service: str


class Collector:
    """An ASGI application, to be served by `serve(collector.app)`; `hung` lets no answer out."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.requests = 0
        self.hung = False

    @property
    def app(self) -> Self:
        return self

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        self.requests += 1
        if self.hung:
            await asyncio.Event().wait()
        response = await self._answer(request)
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        if (request.method, request.url.path) != ("POST", PATH):
            return Response(status_code=404)
        if request.headers.get("Content-Type") != PROTOBUF:
            return Response(status_code=415)
        body = await request.body()
        if request.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        self.spans += spans(ExportTraceServiceRequest.FromString(body))
        return Response(ExportTraceServiceResponse().SerializeToString(), media_type=PROTOBUF)


def spans(sent: ExportTraceServiceRequest) -> Iterator[Span]:
    """Yield every span of a message."""
    for resource in sent.resource_spans:
        service = [
            attribute.value.string_value
            for attribute in resource.resource.attributes
            if attribute.key == "service.name"
        ]
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield Span(
                    span.name,
                    span.trace_id.hex(),
                    span.span_id.hex(),
                    span.parent_span_id.hex(),
                    span.start_time_unix_nano,
                    span.end_time_unix_nano,
                    {
                        attribute.key: attribute.value.string_value or attribute.value.int_value
                        for attribute in span.attributes
                    },
                    service[0],
                )
