"""A page's phases are spans where somebody traces, and nothing where nobody does."""

import asyncio
import sys

import pytest
from asyncpg import Connection

from dev.stack import ROOT
from lib.batch.phases import Phase, no_span
from lib.web.trace import spans
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
    assert spans(environ) is no_span


async def test_function_that_traces_nothing_loads_nothing_of_it():
    program = (
        "import sys, lib.web.trace as t; t.spans({});"
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
