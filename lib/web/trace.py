"""Spans of a page for OpenTelemetry, where that is installed and told where to send them.

How, it reads from the environment by itself.
"""

from importlib.util import find_spec

from lib.batch.phases import Spans, no_span
from lib.settings import Environ

EXPORTER = "OTEL_TRACES_EXPORTER"
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
GROUP = "opentelemetry_traces_exporter"
NAMES = {"": "otlp_proto_http", "otlp": "otlp_proto_http"}
"""Exporters by another name than the environment gives them."""


def spans(environ: Environ) -> Spans:
    """Return what opens spans; nothing where tracing is off, or its packages are not there.

    Each span is sent as it ends: an instance that has answered may be frozen.
    """
    asked = environ.get(EXPORTER, "")
    wanted = asked != "none" and (asked or environ.get(ENDPOINT))
    if not wanted or not find_spec("opentelemetry") or not find_spec("opentelemetry.sdk"):
        return no_span

    from importlib.metadata import entry_points  # noqa: PLC0415  # nobody else needs them

    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor  # noqa: PLC0415

    found = list(entry_points(group=GROUP, name=NAMES.get(asked, asked)))
    if not found:
        return no_span
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(found[0].load()()))
    return provider.get_tracer("user-embeddings").start_as_current_span
