"""`python -m evaluation.tryout`: what this would be worth on the platform at DATABASE_URL."""

import asyncio
import os
import sys
from datetime import timedelta
from textwrap import wrap

from evaluation.live import DAYS, Trouble
from evaluation.tryout.advice import advice
from evaluation.tryout.findings import Findings, find_out
from evaluation.tryout.report import Section, sections
from lib.errors import ServiceError
from lib.settings import DatabaseSettings, Environ

WIDTH = 98


def main(environ: Environ) -> None:
    """Print what is found, or in one line why nothing is."""
    try:
        settings = DatabaseSettings.load(environ)
        lookback = timedelta(days=DAYS.load(environ))
        findings = asyncio.run(find_out(settings.url, lookback, _say))
    except (ServiceError, Trouble) as error:
        sys.exit(f"make try: {error}")
    sys.stdout.write(page(findings))


def page(findings: Findings) -> str:
    """Return all that was found, as text in lines of at most WIDTH."""
    return "\n".join(_text(section) for section in (*sections(findings), *advice(findings)))


def _text(section: Section) -> str:
    widths = [max(map(len, column)) for column in zip(*section.rows, strict=True)]
    lines = [section.title]
    for row in section.rows:
        cells = (
            cell.rjust(width) if _number(cell) else cell.ljust(width)
            for cell, width in zip(row, widths, strict=True)
        )
        lines.append(f"  {'  '.join(cells)}".rstrip())
    for note in section.notes:
        lines += wrap(note, WIDTH, initial_indent="  ", subsequent_indent="  ")
    return "\n".join([*lines, ""])


def _number(cell: str) -> bool:
    return cell[:1].isdigit()


def _say(what: str) -> None:
    sys.stderr.write(f"{what} ...\n")


if __name__ == "__main__":
    main(os.environ)
