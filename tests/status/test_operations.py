"""docs/operations.md says what there is."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from asyncpg import Connection

from dev.stack import ROOT
from tests.conftest import Start, trigger
from tests.scene import build

TEXT = (ROOT / "docs" / "operations.md").read_text()


def table(name: str) -> list[list[str]]:
    """Return what each row of a table has in code, its first name by itself."""
    part = TEXT.partition(f"<!-- {name} -->")[2].partition(f"<!-- /{name} -->")[0]
    return [re.findall(r"`(\w+)`", line) for line in part.splitlines() if line.startswith("| `")]


def documented() -> dict[str, set[str]]:
    return {event: set(keys) for event, *keys in table("logs")}


def noted() -> Iterator[tuple[str, set[str], bool]]:
    """Yield each event that the program notes, its keys, and whether those are all."""
    for path in ROOT.glob("lib/web/*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(ast.Name("note"), [ast.Constant(str(event)), *_], keywords):
                    keys = {keyword.arg for keyword in keywords}
                    yield event, {key for key in keys if key}, None not in keys


def test_every_event_is_documented_with_its_keys():
    found = list(noted())
    assert len(found) > 8
    for event, keys, whole in found:
        assert keys <= documented()[event], event
        assert not whole or keys == documented()[event], event


async def test_batch_line_has_the_documented_keys(start: Start, connection: Connection):
    stack = await start()
    await build(connection, users=20)
    await trigger(stack)
    await stack.broker.drain()
    lines = [json.loads(line) for line in stack.functions.logs if line[:1] == "{"]
    batches = [set(line) - {"event"} for line in lines if line["event"] == "batch"]
    assert len(batches) == 2
    assert all(keys == documented()["batch"] for keys in batches)


@pytest.mark.parametrize("path", [ROOT / "lib" / "web" / "metrics.py"], ids=["metrics"])
def test_every_metric_is_documented(path: Path):
    counters = {"runs", "users", "phase_seconds", "cache_reads", "pages", "retries", "repeats"}
    counters |= {"failed_pages", "unknown_actions", "unusable_posts"}
    counters |= {"redis_keyspace_hits", "redis_keyspace_misses"}
    source = path.read_text()
    gauges = set(re.findall(r'_(?:gauges?|labelled_gauge)\(\s*"(\w+)"', source))
    wanted = {f"user_embeddings_{name}_total" for name in counters}
    wanted |= {f"user_embeddings_{name}" for name in gauges | {"drift_ratio"}}
    assert {name for name, *_ in table("metrics")} == wanted
