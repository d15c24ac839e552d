"""The OpenAPI document and the functions say the same."""

import asyncio
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from asyncpg import Connection

from dev.stack import ADMIN_TOKEN, API_TOKEN, ROOT, Stack
from lib.embedding import BASELINE
from lib.record import actions, impressions
from lib.settings.table import VARIABLES
from lib.web import impressions as shown
from lib.web import log, recommendations, similar, status, users
from tests.conftest import Start, trigger
from tests.scene import Scene, build

DOCUMENT: dict[str, Any] = yaml.safe_load((ROOT / "docs" / "openapi.yaml").read_text())
SCHEMAS = DOCUMENT["components"]["schemas"]
ENVIRON = {
    "DATABASE_URL": "postgresql:///nothing",
    "UPSTASH_REDIS_REST_URL": "http://127.0.0.1:1",
    "UPSTASH_REDIS_REST_TOKEN": "token",
    "QSTASH_TOKEN": "token",
    "APP_URL": "https://app.example",
    "API_TOKEN": "reads",
    "ADMIN_TOKEN": "erases",
}


def test_every_route_is_described_with_its_methods_and_no_other_is():
    routes = [
        route for function in (log, shown, status, users) for route in function.routes(ENVIRON)
    ]
    served = {route.path: (route.methods or set()) - {"HEAD"} for route in routes}
    described = {
        path: {method.upper() for method in item if method != "parameters"}
        for path, item in DOCUMENT["paths"].items()
    }
    assert described == served


def test_bounds_and_defaults_are_those_of_the_code():
    paths = DOCUMENT["paths"]
    listed = body(paths["/api/actions/log"])["properties"]["actions"]
    assert listed["maxItems"] == actions.MOST
    assert set(SCHEMAS["Action"]["properties"]) == set(log.FIELDS)
    assert set(SCHEMAS["Action"]["properties"]["action_type"]["enum"]) == BASELINE.known_actions
    assert SCHEMAS["Action"]["properties"]["event_id"]["maxLength"] == actions.LONGEST_EVENT_ID
    posts = body(paths["/api/impressions"])["properties"]["posts"]
    assert posts["maxItems"] == impressions.MOST
    asked = query(paths["/api/users/{id}/recommendations"])
    assert set(asked) == set(recommendations.FIELDS)
    limit = asked["limit"]
    assert (limit["maximum"], limit["default"]) == (recommendations.MOST, recommendations.USUAL)
    assert asked["topics"]["maxItems"] == recommendations.MOST_TOPICS
    assert asked["diversity"]["default"] == recommendations.DIVERSITY
    assert query(paths["/api/users/{id}/similar"])["limit"]["maximum"] == similar.MOST


def body(item: dict[str, Any]) -> dict[str, Any]:
    return item["post"]["requestBody"]["content"]["application/json"]["schema"]


def query(item: dict[str, Any]) -> dict[str, Any]:
    return {one["name"]: one["schema"] for one in item["get"]["parameters"]}


def test_whatever_the_document_names_in_capitals_is_a_setting():
    text = (ROOT / "docs" / "openapi.yaml").read_text()
    named = set(re.findall(r"`([A-Z]+(?:_[A-Z]+)+)`", text))
    assert named
    assert named <= {variable.name for variable in VARIABLES}


async def fuzz(stack: Stack, document: Path, token: str, *options: str, folder: Path) -> None:
    """Let schemathesis call what the document describes, and hold that nothing was amiss."""
    program = await asyncio.create_subprocess_exec(
        Path(sys.executable).parent / "schemathesis",
        *("run", document, "--url", stack.app_url, "-H", f"Authorization: Bearer {token}"),
        *("--seed", "1", "--workers", "2", "--request-timeout", "20", "--no-color"),
        *("--phases", "coverage,fuzzing", *options),
        cwd=folder,  # where it leaves what it remembers
        env=os.environ | {"NO_COLOR": "1"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await program.communicate()
    assert program.returncode == 0, output.decode(errors="replace")[-6000:]


def known(scene: Scene) -> dict[str, Any]:
    """Return the document with ids that there are: or hardly any call would find something."""
    document = yaml.safe_load((ROOT / "docs" / "openapi.yaml").read_text())
    user, post = (
        {"type": "string", "format": "uuid", "enum": [str(one) for one in some]}
        for some in (scene.users[:8], scene.posts[:20])
    )
    paths, components = document["paths"], document["components"]
    components["parameters"]["user"]["schema"] = user
    paths["/api/users/{id}/similarity/{other}"]["parameters"][1]["schema"] = user
    impressions = body(paths["/api/impressions"])["properties"]
    impressions |= {"user_id": user, "posts": impressions["posts"] | {"items": post}}
    components["schemas"]["Action"]["properties"] |= {"user_id": user, "post_id": post}
    return document


@pytest.mark.fault(27)
@pytest.mark.timeout(300)
async def test_no_call_is_answered_with_a_5xx_or_otherwise_than_the_document_says(
    start: Start, connection: Connection, tmp_path: Path
):
    stack = await start({"EMBEDDING_SCHEME": "recommended"})
    scene = await build(connection, users=30)
    await trigger(stack)
    await stack.broker.drain()
    anybody = ROOT / "docs" / "openapi.yaml"
    somebody = tmp_path / "known.yaml"
    somebody.write_text(yaml.safe_dump(known(scene)))
    reading = ("--exclude-method", "DELETE")
    await fuzz(stack, anybody, API_TOKEN, "--max-examples", "10", *reading, folder=tmp_path)
    await fuzz(stack, somebody, API_TOKEN, "--max-examples", "40", *reading, folder=tmp_path)
    await fuzz(
        stack,
        somebody,
        ADMIN_TOKEN,
        "--max-examples",
        "10",
        "--include-method",
        "DELETE",
        folder=tmp_path,
    )
    succeeded = {json.loads(line)["event"] for line in stack.functions.logs if line[:1] == "{"}
    assert succeeded >= {"logged", "shown", "read", "recommended", "similar", "erased"}
    assert not succeeded & {"unexpected", "unavailable"}
