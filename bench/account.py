"""What a benchmark tells while it runs, and what it leaves behind."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from bench.table import Table, wrapped

WIDTH = 140

type Say = Callable[[str], None]


class Account:
    """A benchmark's words on the terminal, each with the seconds since it began."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, width=WIDTH)
        self._begun = time.monotonic()

    def say(self, what: str) -> None:
        """Tell what is being done now."""
        self._console.print(f"{time.monotonic() - self._begun:5.0f} s  {what} ...")

    def give(self, introduction: str, tables: Sequence[Table], path: Path) -> None:
        """Show the tables, and write them after an introduction as a page of Markdown."""
        for table in tables:
            table.show(self._console)
        sections = (table.markdown() for table in tables)
        path.write_text("\n".join([wrapped(introduction) + "\n", *sections]), encoding="utf-8")
