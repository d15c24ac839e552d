"""What a build must hold, and must not, before it is fit to be deployed."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dev.functions.program import LAUNCHER, bare_python, function_files, route_of
from dev.vercel_build.build import Build
from dev.vercel_build.bundle import Bundle
from dev.vercel_build.tool import BuildFailed, run

MAX_BYTES = 120_000_000
MODULES = (
    "asyncpg",
    "jwt",
    "numpy",
    "orjson",
    "pgvector",
    "qstash",
    "starlette",
    "upstash_redis",
)
IMPORT_SECONDS = 60.0
_SHIPPED = {"api", "lib", "_vendor"}
_SOURCES = (".py", ".json")


@dataclass(frozen=True, slots=True)
class Finding:
    """One promise about a build, and whether it is kept."""

    kept: bool
    text: str


def check(build: Build) -> Iterator[Finding]:
    """Go through all promises about a build, the project's first, then those of each function."""
    expected = {route_of(file) for file in function_files(build.project)}
    found = {bundle.route for bundle in build.bundles}
    yield _same("functions", expected, found)
    yield _same("static files", _files(build.project / "public"), _files(build.static))
    for bundle in build.bundles:
        yield from _check_bundle(build, bundle)


def _check_bundle(build: Build, bundle: Bundle) -> Iterator[Finding]:
    yield _settings(build, bundle)
    yield _vendored(bundle)
    own = {f"lib/{name}" for name in _files(build.project / "lib") if name.endswith(_SOURCES)}
    commands = {name for name in own if name.startswith("lib/commands/")}
    missing = own - commands - bundle.files.keys()
    text = f"{bundle.route}: all of lib/ but its commands is in the bundle"
    yield Finding(not missing, text + _listed(missing))
    foreign = {path for path in bundle.files if Path(path).parts[0] not in _SHIPPED} - {LAUNCHER}
    stray = foreign | commands & bundle.files.keys()
    yield Finding(not stray, f"{bundle.route}: nothing else, and packages{_listed(stray)}")
    yield _size(bundle)


def _settings(build: Build, bundle: Bundle) -> Finding:
    version = (build.project / ".python-version").read_text().strip()
    functions = json.loads((build.project / "vercel.json").read_text())["functions"]
    wanted = functions.get(f"{bundle.route.removeprefix('/')}.py", {}).get("maxDuration")
    runtime, seconds = bundle.config["runtime"], bundle.config.get("maxDuration")
    return Finding(
        (runtime, seconds) == (f"python{version}", wanted),
        f"{bundle.route}: runs on {runtime} for at most {seconds} s"
        f" (expected python{version}, {wanted})",
    )


def _vendored(bundle: Bundle) -> Finding:
    text = f"{bundle.route}: {', '.join(MODULES)} are imported from the bundle"
    code = f"import {', '.join(MODULES)}\nprint(*({', '.join(f'{m}.__file__' for m in MODULES)},))"
    try:
        printed = run(
            (*bare_python(), "-c", code),
            bundle.folder,
            {"PYTHONPATH": "_vendor", "PYTHONDONTWRITEBYTECODE": "1"},
            IMPORT_SECONDS,
        )
    except BuildFailed as failed:
        return Finding(kept=False, text=f"{text}: {failed}")
    outside = {path for path in printed.split() if not Path(path).is_relative_to(bundle.folder)}
    return Finding(not outside, text + _listed(outside))


def _size(bundle: Bundle) -> Finding:
    packages: Counter[str] = Counter()
    for path, size in bundle.files.items():
        first, *rest = Path(path).parts
        packages[rest[0].split(".")[0] if first == "_vendor" else "own code"] += size
    total = packages.total()
    parts = ", ".join(f"{name} {size / 1e6:.1f}" for name, size in packages.most_common(8))
    return Finding(
        total < MAX_BYTES,
        f"{bundle.route}: {total / 1e6:.1f} MB unzipped of {MAX_BYTES / 1e6:.0f} ({parts}, ...)",
    )


def _same(what: str, expected: set[str], found: set[str]) -> Finding:
    if expected and expected == found:
        return Finding(kept=True, text=f"{what}: {', '.join(sorted(found))}")
    return Finding(kept=False, text=f"{what}: expected {sorted(expected)}, got {sorted(found)}")


def _files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def _listed(names: set[str]) -> str:
    return f", but: {', '.join(sorted(names)[:20])}" if names else ""
