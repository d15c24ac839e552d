"""What importing the page function costs, beside importing only what it takes from others."""

import asyncio
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.page import Places
from dev.stack import ROOT

FUNCTION = "api.actions.batch-process"
OURS = ("api", "lib")
SECONDS = 60.0
IMPORT = "import sys\nfor name in sys.argv[1:]: __import__(name)"


@dataclass(frozen=True)
class Module:
    """A line of `-X importtime`: what the module itself took, in ms, and what imported it."""

    name: str
    milliseconds: float
    parent: str | None

    @property
    def ours(self) -> bool:
        return self.name.partition(".")[0] in OURS


@dataclass(frozen=True)
class Imports:
    """Milliseconds to import the function, and all of others that ours import; the least seen."""

    function: float
    others: float


async def imports(rounds: int) -> Imports:
    """Import the function, and what its modules import of others, in fresh processes by turns."""
    environ = Places("postgresql:///x", "http://127.0.0.1:9", "http://127.0.0.1:9").environ({})
    modules = await _imported([FUNCTION], environ)
    names = {module.name: module for module in modules}
    others = [
        module.name
        for module in modules
        if module.parent in names and names[module.parent].ours and not module.ours
    ]
    taken = [
        (await _milliseconds([FUNCTION], environ), await _milliseconds(others, environ))
        for _ in range(rounds)
    ]
    function, alone = zip(*taken, strict=True)
    return Imports(min(function), min(alone))


async def _milliseconds(names: Sequence[str], environ: Mapping[str, str]) -> float:
    return sum(module.milliseconds for module in await _imported(names, environ))


async def _imported(names: Sequence[str], environ: Mapping[str, str]) -> list[Module]:
    """Return what importing these modules imports, after what an interpreter imports anyway."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-X", "importtime", "-c", IMPORT, *names),
        cwd=ROOT,
        env=environ,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(SECONDS):
        _, said = await process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"expected {names[0]} to be importable: {said.decode()[-500:]}")
    return parse(said.decode())


def parse(said: str) -> list[Module]:
    """Read the lines of `-X importtime`, in which a module comes after all that it imports."""
    modules: list[Module] = []
    open_above: list[tuple[int, str]] = []  # from the last line upwards: importers of what is above
    for line in reversed(said.splitlines()):
        if not line.startswith("import time:") or "self [us]" in line:
            continue
        own, _, shown = line.removeprefix("import time:").split("|")
        name = shown.strip()
        if name == "site":  # it and what comes before it every interpreter imports
            break
        depth = len(shown) - len(shown.lstrip())
        while open_above and open_above[-1][0] >= depth:
            open_above.pop()
        parent = open_above[-1][1] if open_above else None
        open_above.append((depth, name))
        modules.append(Module(name, int(own) / 1000, parent))
    return modules[::-1]
