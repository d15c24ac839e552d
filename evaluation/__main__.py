"""`python -m evaluation FOLDER`: judge the schemes, print, and write RESULTS.md and a picture."""

import argparse
import sys
from pathlib import Path

from bench.account import Account
from evaluation.findings import TooLittle, evaluate
from evaluation.folder import read_folder
from evaluation.report import tables
from evaluation.words import introduction

HERE = Path(__file__).parent
COMMAND = "make evaluate"


def main() -> None:
    """Evaluate the data set that the command line names."""
    parser = argparse.ArgumentParser(prog="evaluation", description=__doc__)
    parser.add_argument("folder", type=Path, help="a data set, as the README describes it")
    parser.add_argument("--into", type=Path, default=HERE, help="where results go (%(default)s)")
    asked = parser.parse_args()
    try:
        dataset = read_folder(asked.folder)
    except (OSError, ValueError, LookupError) as error:
        sys.exit(f"evaluation: expected a data set in {asked.folder} (DATA=folder): {error}")
    account = Account()
    try:
        findings = evaluate(dataset, account.say)
    except TooLittle as error:
        sys.exit(f"evaluation: {error}")
    words = introduction(findings, COMMAND)
    account.give(words, list(tables(findings)), asked.into / "RESULTS.md")

    from evaluation.picture import plot  # noqa: PLC0415  # 30 MB that nothing above needs

    plot(findings, asked.into / "quality.png")


if __name__ == "__main__":
    main()
