"""`python -m evaluation.fit [FOLDER | demo ...]`: fit the blend, and write RANKING.md about it.

Without any data named, on a sample of the platform at DATABASE_URL.
"""

import argparse
import os
import sys
from pathlib import Path

from bench.account import Account
from evaluation.findings import TooLittle
from evaluation.fit.findings import fit
from evaluation.fit.report import tables
from evaluation.fit.sources import DEMO, read, read_live
from evaluation.fit.words import COMMAND, introduction
from evaluation.live import Trouble
from evaluation.trial import SEED
from lib.blend import FILE, load_blend, write_blend
from lib.embedding.schemes import RECOMMENDED, find_scheme
from lib.errors import EmbeddingError, ServiceError

HERE = Path(__file__).parents[1]
LIVE = Path(".cache", "evaluation")


def main() -> None:
    """Fit on the data that the command line names."""
    parser = argparse.ArgumentParser(prog="evaluation.fit", description=__doc__)
    parser.add_argument("data", nargs="*", help=f"folders, or {DEMO!r}; else DATABASE_URL is read")
    parser.add_argument("--scheme", default=RECOMMENDED.label, help="of vectors (%(default)s)")
    parser.add_argument("--seed", type=int, default=SEED, help="of the search (%(default)s)")
    parser.add_argument("--into", type=Path, help=f"where results go ({HERE.name}, or {LIVE})")
    parser.add_argument("--blend", type=Path, default=FILE, help="the file in use (%(default)s)")
    parser.add_argument("--write", action="store_true", help="put what was fitted into that file")
    asked = parser.parse_args()
    account = Account()
    try:
        scheme = find_scheme(asked.scheme)
        datasets = [read(name) for name in asked.data] or [read_live(os.environ)]
        former = load_blend(asked.blend) if asked.blend.exists() else None
        findings = fit(datasets, scheme, former, asked.seed, account.say)
    except (ServiceError, EmbeddingError, Trouble, TooLittle) as error:
        sys.exit(f"{COMMAND}: {error}")
    except (OSError, ValueError, LookupError, TypeError) as error:
        names = ", ".join(asked.data) or "DATABASE_URL"
        sys.exit(f"{COMMAND}: expected data sets in {names} and a blend: {error}")
    into: Path = asked.into or (HERE if asked.data else LIVE)
    into.mkdir(parents=True, exist_ok=True)
    account.give(introduction(findings), list(tables(findings)), into / "RANKING.md")

    from evaluation.fit.picture import plot  # noqa: PLC0415  # 30 MB that nothing above needs

    plot(findings, into / "ranking.png")
    if asked.write:
        harmed = [judged.dataset.name for judged in findings.judged if judged.harms]
        if harmed:
            sys.exit(f"{COMMAND}: not written: worse than a single signal on {', '.join(harmed)}")
        write_blend(findings.blend, asked.blend)


if __name__ == "__main__":
    main()
