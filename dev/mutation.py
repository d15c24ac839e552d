"""`python -m dev.mutation`: which changes of the mathematics no test notices, and nobody excuses.

After `mutmut run`. What docs/mutation.md lists, with its reason, is excused.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from dev.stack import ROOT

PAGE = ROOT / "docs" / "mutation.md"
MUTMUT = Path(sys.executable).parent / "mutmut"
SECONDS = 120.0
UNNOTICED = {"survived", "no tests", "suspicious"}

type Change = tuple[str, str]
"""Where a line was changed, as module.function, and what it was changed to."""


def excused(page: str) -> set[Change]:
    """Read the changes that a page lists, a line each."""
    return set(re.findall(r"^- `(\S+)`: `` (.*) ``$", page, re.MULTILINE))


def place(mutant: str) -> str:
    """Return which function a mutant is of, by mutmut's name for it."""
    module, _, rest = mutant.rpartition("__mutmut_")[0].rpartition(".")
    names = [name for name in rest.removeprefix("x_").removeprefix("x").split("ǁ") if name]
    return ".".join([module.rpartition(".")[2], *names])


def unnoticed() -> Iterator[Change]:
    """Yield every change that no test fails for."""
    for line in _say("results").splitlines():
        mutant, _, status = line.strip().partition(": ")
        if status in UNNOTICED:
            lines = _say("show", mutant).splitlines()
            changed = [line[1:].strip() for line in lines if re.match(r"\+(?!\+\+)", line)]
            yield place(mutant), " ".join(changed)


def _say(*arguments: str) -> str:
    return subprocess.run(  # noqa: S603  # our own arguments
        [MUTMUT, *arguments], cwd=ROOT, check=True, capture_output=True, text=True, timeout=SECONDS
    ).stdout


def main() -> int:
    """Print what is not excused; return 1 if there is any."""
    known = excused(PAGE.read_text())
    found = sorted(set(unnoticed()) - known)
    for where, line in found:
        print(f"- `{where}`: `` {line} ``")
    print(f"{len(found)} changes that no test notices and {PAGE.name} does not excuse")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
