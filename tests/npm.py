"""Packages of JavaScript's, which a test skips without."""

import shutil
import subprocess
from pathlib import Path

import pytest

from dev.stack import ROOT

INSTALL_SECONDS = 50


def package(name: str, version: str) -> Path:
    """Return a folder in which node finds the package; kept, below .cache."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("npm and node are not on the PATH")
    folder = ROOT / ".cache" / f"{name.strip('@').replace('/', '-')}-{version}"
    if not (folder / "installed").exists():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text('{"private": true}')
        command = (npm, "install", "--no-audit", "--no-fund", "--ignore-scripts")
        try:
            subprocess.run(  # noqa: S603  # npm, no shell
                (*command, f"{name}@{version}"),
                cwd=folder,
                capture_output=True,
                timeout=INSTALL_SECONDS,
                check=True,
            )
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as failed:
            pytest.skip(f"npm could not install {name}: {type(failed).__name__}")
        (folder / "installed").touch()
    return folder
