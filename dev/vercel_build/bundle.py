"""A built function: what `vercel build` says about it, and its files as Vercel lays them out."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Bundle:
    """One function. `files`: bytes by path in the bundle, its launcher included."""

    route: str
    folder: Path
    config: dict[str, Any]
    files: dict[str, int]


def materialise(built: Path, project: Path, functions: Path) -> Bundle:
    """Lay out the function that lies in `built` (`.../functions/api/x.func`) below `functions`.

    The files are hard links: nothing may be written to them.
    """
    output = project / ".vercel/output/functions"
    name = str(built.relative_to(output)).removesuffix(".func")
    config = json.loads((built / ".vc-config.json").read_text())
    sources = {path: project / source for path, source in config.pop("filePathMap").items()}
    sources |= {path.name: path for path in built.iterdir() if path.suffix == ".py"}
    folder = functions / name
    for path, source in sources.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        os.link(source, target)
    sizes = {path: source.stat().st_size for path, source in sources.items()}
    return Bundle(f"/{name}", folder, config, sizes)
