"""A page's phases are spans where somebody traces, and nothing where nobody does."""

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator

import pytest
from asyncpg import Connection

from dev.collector import Collector
from dev.serve import serve
from dev.stack import ROOT, Stack
from lib.batch.phases import Phase, no_span
from lib.web.trace import tracing
from tests.conftest import Start, trigger
from tests.scene import build


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"OTEL_TRACES_EXPORTER": "none"},
        {"OTEL_TRACES_EXPORTER": ""},
        {"OTEL_TRACES_EXPORTER": "no-such-exporter"},
    ],
    ids=["unset", "none", "empty", "unknown"],
)
def test_nothing_is_traced_unless_asked_for(environ: dict[str, str]):
    assert tracing(environ).spans is no_span


async def test_function_that_traces_nothing_loads_nothing_of_it():
    program = (
        "import sys, lib.web.trace as t; t.tracing({});"
        "sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    )
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", program, cwd=ROOT)
    assert await child.wait() == 0


async def test_every_phase_of_a_page_is_a_span(start: Start, connection: Connection):
    stack = await start({"OTEL_TRACES_EXPORTER": "console"})
    await build(connection, users=20)
    await trigger(stack)
    await stack.broker.drain()
    said = "\n".join(stack.functions.logs)
    for phase in Phase:
        assert f'"name": "{phase}"' in said, phase


@pytest.fixture
async def collector() -> AsyncIterator[tuple[Collector, str]]:
    made = Collector()
    async with serve(made.app) as url:
        yield made, url


async def worked(start: Start, connection: Connection, url: str) -> Stack:
    """Have a run of three pages worked off by functions that send their spans to the URL."""
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_SERVICE_NAME": "feeds", "PAGE_SIZE": "20"}
    stack = await start(settings)
    await build(connection, users=60)
    await trigger(stack)
    deliveries = await stack.broker.drain()
    assert {delivery.status for delivery in deliveries} == {200}
    return stack


async def test_page_comes_to_a_collector_with_its_phases_below_it(
    start: Start, connection: Connection, collector: tuple[Collector, str]
):
    made, url = collector
    await worked(start, connection, url)
    pages = [span for span in made.spans if span.name == "page"]
    run = await connection.fetchval("SELECT id::TEXT FROM embedding.runs")
    assert sorted(span.attributes["page"] for span in pages) == [0, 1, 2]
    assert {span.attributes["run"] for span in pages} == {run}
    assert {(span.parent, span.service) for span in pages} == {("", "feeds")}
    by_id = {span.id: span for span in made.spans}
    for page in pages:
        parts = [span for span in made.spans if span.trace == page.trace and span is not page]
        parents = {(span.name, by_id[span.parent].name) for span in parts}
        assert parents == {
            ("read", "page"),
            ("aggregate", "read"),
            ("write", "page"),
            ("publish", "page"),
            ("cache", "page"),
        }
        assert Counter(span.name for span in parts)["publish"] == 1
        for span in parts:
            around = by_id[span.parent]
            assert around.begun <= span.begun <= span.ended <= around.ended
    assert len({page.trace for page in pages}) == 3


async def test_page_does_not_wait_long_for_a_collector_that_hangs(
    start: Start, connection: Connection, collector: tuple[Collector, str]
):
    made, url = collector
    made.hung = True
    stack = await worked(start, connection, url)
    assert made.requests > 0
    assert stack.broker.dead_letters == []


async def test_page_is_worked_off_without_its_collector(start: Start, connection: Connection):
    await worked(start, connection, "http://127.0.0.1:1")
