"""Fuzz every target for an equal share of the seconds; end 1 if one breaks a promise."""

import argparse
import json
import re
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from dev.fuzz.targets import TARGETS

ROOT = Path(__file__).parents[2]
CORPUS = ROOT / "tests" / "corpus"
FOUND = ROOT / ".cache" / "fuzz"
RESULT = ROOT / ".cache" / "reliability" / "fuzz.json"
LONGEST_INPUT = 4096
# what is as slow as this is a fault, too
SLOWEST_SECONDS = 10
START_SECONDS = 60


@dataclass(frozen=True)
class Finding:
    """What fuzzing a target for so many seconds came to; `corpus`: the committed inputs."""

    target: str
    seconds: int
    runs: int
    corpus: int
    crashes: int


def main() -> int:
    """Print a line for each target and write all of it to RESULT."""
    parser = argparse.ArgumentParser(prog="dev.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="for all together (%(default)s)")
    seconds = max(1, parser.parse_args().seconds // len(TARGETS))
    findings = [_fuzz(name, seconds) for name in TARGETS]
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps([asdict(finding) for finding in findings], indent=1) + "\n")
    return 1 if any(finding.crashes for finding in findings) else 0


def _fuzz(name: str, seconds: int) -> Finding:
    fresh, crashes = FOUND / name, FOUND / "crashes" / name
    for folder in (fresh, crashes):
        folder.mkdir(parents=True, exist_ok=True)
    known = set(crashes.iterdir())
    committed = CORPUS / name
    ended = subprocess.run(  # noqa: S603  # this interpreter, no shell
        [
            *(sys.executable, "-m", "dev.fuzz.engine", name),
            *(f"-max_total_time={seconds}", f"-max_len={LONGEST_INPUT}", "-print_final_stats=1"),
            *(f"-timeout={SLOWEST_SECONDS}", f"-artifact_prefix={crashes}/"),
            *(fresh, committed),
        ],
        cwd=ROOT,
        capture_output=True,
        timeout=seconds + START_SECONDS,
        check=False,
    )
    said = (ended.stdout + ended.stderr).decode(errors="replace")
    runs = re.search(r"stat::number_of_executed_units: +([0-9]+)", said)
    made = set(crashes.iterdir()) - known
    failed = max(len(made), 1) if ended.returncode else 0
    if failed:
        print(said[-3000:], *made, sep="\n", file=sys.stderr)
    count = int(runs[1]) if runs else 0
    print(f"{name:12} {seconds:4} s  {count:9,} runs  {failed} crashes", flush=True)
    return Finding(name, seconds, count, len(list(committed.iterdir())), failed)


if __name__ == "__main__":
    sys.exit(main())
