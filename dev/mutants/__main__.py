"""Make each fault in a copy of the code, and see the test that must notice fail."""

import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from dev.mutants.mutant import Mutant
from dev.mutants.table import MUTANTS
from dev.stack import ROOT

AT_ONCE = 2
SECONDS = 600.0
FAILED = 1
"""pytest's exit code where tests ran and some failed."""

FILE = ROOT / ".cache" / "reliability" / "mutants.json"


@dataclass(frozen=True)
class Fate:
    """What became of a mutant: it died if its test failed with it, and passes without."""

    name: str
    test: str
    died: bool


def copy(folder: Path) -> Path:
    """Copy what git tracks, as it stands, into a folder."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],  # noqa: S607
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


async def test(folder: Path, *arguments: str) -> int:
    """Run pytest in a copy and return its exit code; raise TimeoutError."""
    pytest = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "pytest",
        "-x",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:randomly",
        *arguments,
        cwd=folder,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(SECONDS):
            return await pytest.wait()
    finally:
        if pytest.returncode is None:
            pytest.kill()
            await pytest.wait()


async def judge(mutant: Mutant, copies: "asyncio.Queue[Path]") -> Fate:
    """Let a mutant live in a copy for one test."""
    folder = await copies.get()
    before = mutant.apply(folder)
    try:
        code = await test(folder, *mutant.arguments)
    finally:
        (folder / mutant.file).write_text(before)
        copies.put_nowait(folder)
    fate = Fate(mutant.name, mutant.test, code == FAILED)
    print(f"{'died ' if fate.died else f'LIVES ({code})'} {mutant.name}", flush=True)
    return fate


async def main() -> int:
    """Judge every mutant; return how many live."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as name:
        copies: asyncio.Queue[Path] = asyncio.Queue()
        for number in range(AT_ONCE):
            copies.put_nowait(copy(Path(name) / str(number)))
        folder = await copies.get()
        if await test(folder, *sorted({mutant.test for mutant in MUTANTS})):
            print("the tests fail without any mutant", file=sys.stderr)
            return FAILED
        copies.put_nowait(folder)
        fates = await asyncio.gather(*(judge(mutant, copies) for mutant in MUTANTS))
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_text(json.dumps([asdict(fate) for fate in fates], indent=1) + "\n")
    living = sum(not fate.died for fate in fates)
    print(f"{len(fates) - living} of {len(fates)} died")
    return living


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
