"""Spans of a page for OpenTelemetry, where that is installed and told where to send them.

How, it reads from the environment by itself.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

from lib.batch.phases import Spans, no_span
from lib.settings import Environ

EXPORTER = "OTEL_TRACES_EXPORTER"
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
GROUP = "opentelemetry_traces_exporter"
NAMES = {"": "otlp_proto_http", "otlp": "otlp_proto_http"}
"""Exporters by another name than the environment gives them."""

PATIENCE = 2.0
"""So many seconds a page that is done waits for its spans to be sent."""


@dataclass
class Tracing:
    """Opens `spans`, and sends those that have ended; belongs to one event loop."""

    spans: Spans
    send: Callable[[], object] | None = None
    _sending: asyncio.Task[object] | None = None

    async def flush(self) -> None:
        """Send what has ended, in PATIENCE; never fails a page.

        An instance that has answered may be frozen. While a collector hangs, no more than one
        thread waits for it.
        """
        if self.send is None:
            return
        if self._sending is None or self._sending.done():
            self._sending = asyncio.create_task(asyncio.to_thread(self.send))
        await asyncio.wait([self._sending], timeout=PATIENCE)


def tracing(environ: Environ) -> Tracing:
    """Return what traces; nothing where tracing is off, or its packages are not there."""
    asked = environ.get(EXPORTER, "")
    wanted = asked != "none" and (asked or environ.get(ENDPOINT))
    if not wanted or not find_spec("opentelemetry") or not find_spec("opentelemetry.sdk"):
        return Tracing(no_span)

    from importlib.metadata import entry_points  # noqa: PLC0415  # nobody else needs them

    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    found = list(entry_points(group=GROUP, name=NAMES.get(asked, asked)))
    if not found:
        return Tracing(no_span)
    provider = TracerProvider()
    # not one that sends each span as it ends: that would hold the event loop up
    provider.add_span_processor(BatchSpanProcessor(found[0].load()()))
    tracer = provider.get_tracer("user-embeddings")
    return Tracing(tracer.start_as_current_span, provider.force_flush)
