"""Build the project with `vercel build`, check the result, and work off a page with it."""

import asyncio
import sys
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

from dev.vercel_build.build import build
from dev.vercel_build.check import Finding, check
from dev.vercel_build.tool import BuildFailed
from dev.vercel_build.work import work


def main() -> int:
    """Print a line for each promise about a build; return 0 if all are kept, else 1."""
    try:
        with TemporaryDirectory(prefix="vercel-build-") as folder:
            made = build(Path(folder))
            kept = _all_told(check(made)) and _all_told(asyncio.run(work(made)))
    except BuildFailed as failed:
        print(failed, *getattr(failed, "__notes__", ()), sep="\n", file=sys.stderr)
        return 1
    return 0 if kept else 1


def _all_told(findings: Iterable[Finding]) -> bool:
    """Print every finding; return whether all promises are kept."""
    kept = True
    for finding in findings:
        print("ok    " if finding.kept else "FAILED", finding.text, flush=True)
        kept &= finding.kept
    return kept


if __name__ == "__main__":
    sys.exit(main())
