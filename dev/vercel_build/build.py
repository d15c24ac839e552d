"""A build of the project, made in a copy, because `vercel build` writes into its project."""

import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from dev.vercel_build.bundle import Bundle, materialise
from dev.vercel_build.tool import BuildFailed, environment, installed, run

PROJECT = Path(__file__).resolve().parents[2]
CACHE = PROJECT / ".cache/vercel"
BUILD_SECONDS = 300.0
# No account stands behind it: with settings at hand, the command asks no server for them.
_LINK = {"orgId": "team_local", "projectId": "prj_local", "settings": {"framework": None}}


@dataclass(frozen=True, slots=True)
class Build:
    """A finished build: the copied project, its static output and its functions, laid out.

    Beside the functions lies the `config.json` that says which paths lead to them.
    """

    project: Path
    static: Path
    functions: Path
    bundles: tuple[Bundle, ...]


def build(into: Path) -> Build:
    """Copy the project into the empty folder `into`, build it there, or raise BuildFailed."""
    version = (PROJECT / ".python-version").read_text().strip()
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    if here != version:
        raise BuildFailed(f"expected Python {version} (.python-version) to build with, got {here}")
    vercel, environ = installed(CACHE), environment()
    project = into / "project"
    _copy(project)
    (project / ".vercel").mkdir()
    (project / ".vercel/project.json").write_text(json.dumps(_LINK))
    command = (str(vercel), "build", "--yes", "--global-config", str(into / "config"))
    run(command, project, environ, BUILD_SECONDS)
    output = project / ".vercel/output"
    built = sorted(output.glob("functions/api/**/*.func"))
    bundles = tuple(materialise(folder, project, into / "functions") for folder in built)
    shutil.copy2(output / "config.json", into / "functions")
    return Build(project, output / "static", into / "functions", bundles)


def _copy(project: Path) -> None:
    """Copy what git tracks or would track; an ignored file (`.env`) is no part of the project."""
    git = shutil.which("git")
    if git is None:
        raise BuildFailed("expected git on PATH: it names the files of the project")
    listed = run((git, "ls-files", "-co", "--exclude-standard", "-z"), PROJECT, environment(), 30)
    for name in listed.split("\0"):
        source, target = PROJECT / name, project / name
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
