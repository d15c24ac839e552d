import json
from pathlib import Path

import pytest

from dev.functions.rewrites import rewrites_of
from dev.stack import ROOT

# as `vercel build` 64.0.2 compiles what vercel.json says
COMPILED = {
    "version": 3,
    "routes": [
        {"handle": "filesystem"},
        {"src": "^/api/users(?:/(.*))$", "dest": "/api/users", "check": True},
        {"src": "^/api(/.*)?$", "status": 404},
        {"src": "^/x$", "dest": "/y"},
        {"handle": "rewrite"},
        {"src": "^/other$", "check": True},
    ],
}


@pytest.fixture(params=["as written", "as built"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if request.param == "as written":
        return ROOT
    (tmp_path / "config.json").write_text(json.dumps(COMPILED))
    return tmp_path


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/api/users/1b4e28ba-2fa1-4d3b-8f5e-6d2f0c9a7e11/embedding", "/api/users"),
        ("/api/users/x", "/api/users"),
        ("/api/usersx", None),
        ("/api/impressions", None),
        ("/x", None),
    ],
)
def test_path_leads_to_the_function_that_it_is_rewritten_to(
    root: Path, path: str, route: str | None
):
    found = [one.route for one in rewrites_of(root) if one.source.fullmatch(path)]
    assert found == ([route] if route else [])


def test_project_without_rewrites_has_none(tmp_path: Path):
    assert rewrites_of(tmp_path) == ()
    (tmp_path / "vercel.json").write_text("{}")
    assert rewrites_of(tmp_path) == ()
