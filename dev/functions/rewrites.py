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
    """Read the project's rewrites; their sources are paths with `(.*)` in them."""
    file = root / "vercel.json"
    if not file.is_file():
        return ()
    return tuple(
        Rewrite(re.compile(entry["source"]), entry["destination"])
        for entry in json.loads(file.read_text()).get("rewrites", ())
    )
