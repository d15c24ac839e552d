"""How secrets are compared, and how deep a body may be."""

import ast
import re

import pytest
from starlette.requests import Request
from starlette.types import Message

from dev.stack import ROOT
from lib.errors import Invalid
from lib.web import impressions, log
from lib.web.body import read_object

SECRET = re.compile(r"(^|_)(tokens?|secrets?|keys?|known|given|digest|signature|bypass)$")
ONE_BY_ONE = (ast.Eq, ast.NotEq, ast.In, ast.NotIn)
DOORS = [
    "web/bearer.py",
    "web/door.py",
    "qstash/signature.py",
    "settings/__init__.py",
    "status/link.py",
]

BODIES = {
    "opened": b"[" * log.LONGEST_BODY,
    "opened and closed": b"[" * (log.LONGEST_BODY // 2) + b"]" * (log.LONGEST_BODY // 2),
    "objects": b'{"a":' * (log.LONGEST_BODY // 5),
    "as the list": b'{"actions":' + b"[" * (log.LONGEST_BODY - 11),
    "as deep as may be": b'{"posts":' + b"[" * 1000 + b"]" * 1000 + b"}",
    "as deep as may be, of actions": b'{"actions":' + b"[" * 1000 + b"]" * 1000 + b"}",
}


@pytest.mark.parametrize("door", DOORS)
def test_doors_compare_secrets_in_one_time_alone(door: str):
    tree = ast.parse((ROOT / "lib" / door).read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare) and isinstance(node.ops[0], ONE_BY_ONE):
            for side in (node.left, *node.comparators):
                name = getattr(side, "id", getattr(side, "attr", ""))
                assert not SECRET.search(name), f"{door}:{node.lineno} compares {name}"


def test_every_door_is_watched():
    users = {
        str(file.relative_to(ROOT / "lib"))
        for file in (ROOT / "lib").rglob("*.py")
        if "compare_digest(" in file.read_text()
    }
    assert users == {"web/bearer.py", "qstash/signature.py", "status/link.py"}


@pytest.mark.fault(23)
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
@pytest.mark.parametrize("known", [("actions", "posts")])
async def test_body_however_deep_is_refused_and_nothing_breaks(body: bytes, known: tuple[str, ...]):
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def read() -> None:
        request = Request({"type": "http", "headers": []}, receive)
        value = await read_object(request, log.LONGEST_BODY, known)
        if "posts" in value:
            impressions.read_posts(value)
        for action in value["actions"]:
            log.parse(action)

    with pytest.raises(Invalid):
        await read()
