"""The `vercel` command, installed from npm into a folder that git ignores."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

VERSION = "64.0.2"
INSTALL_SECONDS = 600.0
# vercel 64.0.2 asks for sandbox 4.4.0, which npm does not have.
_PACKAGE = {
    "private": True,
    "dependencies": {"vercel": VERSION},
    "overrides": {"sandbox": "4.5.0"},
}


class BuildFailed(Exception):
    """`vercel build` could not be run, or did not end well."""


def installed(cache: Path) -> Path:
    """Return the path of the `vercel` command below `cache`, installed there if need be."""
    command = cache / "node_modules/.bin/vercel"
    done = cache / "installed"
    if done.exists() and done.read_text() == VERSION:
        return command
    npm = shutil.which("npm")
    if npm is None:
        raise BuildFailed("expected npm (Node.js 20 or newer) on PATH: `vercel build` runs on it")
    cache.mkdir(parents=True, exist_ok=True)
    (cache / "package.json").write_text(json.dumps(_PACKAGE))
    print(f"installing vercel {VERSION} from npm, once (360 MB)", flush=True)
    install = (npm, "install", "--no-audit", "--no-fund", "--ignore-scripts")
    run(install, cache, os.environ, INSTALL_SECONDS)
    done.write_text(VERSION)
    return command


def environment() -> dict[str, str]:
    """Return the caller's variables for `vercel build`, without those that would change it.

    PATH begins with this environment's uv and the Python it was made from: uv passes over the
    interpreters of virtual environments.
    """
    leading = (Path(sys.prefix, "bin"), Path(sys.base_prefix, "bin"))
    path = os.environ.get("PATH", os.defpath)
    if shutil.which("uv", path=leading[0]) is None:
        raise BuildFailed("expected uv in the virtual environment (requirements-dev.txt)")
    changing = ("NOW_", "PYTHON", "UV_PROJECT", "UV_PYTHON", "VERCEL", "VIRTUAL_ENV", "__VC_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(changing)}
    return kept | {
        "CI": "1",
        "PATH": os.pathsep.join((*map(str, leading), path)),
        "VERCEL_TELEMETRY_DISABLED": "1",
    }


def run(command: tuple[str, ...], folder: Path, environ: Mapping[str, str], seconds: float) -> str:
    """Run a command to its end and return what it wrote, or raise BuildFailed with it."""
    name = Path(command[0]).name
    with subprocess.Popen(  # noqa: S603  # a fixed command, no shell
        command,
        cwd=folder,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            output, _ = process.communicate(timeout=seconds)
        except BaseException as stopped:
            # With all it has started: node and uv would go on alone.
            os.killpg(process.pid, signal.SIGKILL)
            if isinstance(stopped, subprocess.TimeoutExpired):
                raise BuildFailed(f"{name}: expected an end within {seconds:.0f} s") from None
            raise
    if process.returncode != 0:
        raise BuildFailed(f"{name}: expected exit code 0, got {process.returncode}\n{output}")
    return output
