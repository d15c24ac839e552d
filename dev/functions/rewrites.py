"""Which function answers at a path that is not its own: the rewrites of `vercel.json`."""

import json
import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Rewrite:
    """Paths, and the route of the function that gets what is sent to them, path and all."""

    source: re.Pattern[str]
    route: str


def rewrites_of(root: Path) -> tuple[Rewrite, ...]:
    """Read the rewrites of a project, or of the `config.json` that a build makes of it.

    Their sources are paths with `(.*)` in them.
    """
    built, project = root / "config.json", root / "vercel.json"
    if built.is_file():
        routes = json.loads(built.read_text())["routes"]
        return tuple(
            Rewrite(re.compile(route["src"]), route["dest"])
            for route in routes
            if route.get("check") and "dest" in route
        )
    if project.is_file():
        return tuple(
            Rewrite(re.compile(entry["source"]), entry["destination"])
            for entry in json.loads(project.read_text()).get("rewrites", ())
        )
    return ()
