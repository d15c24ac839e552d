"""Tables, for the terminal and for a committed page."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from textwrap import fill

from rich.console import Console
from rich.table import Table as RichTable

from bench.target import Target

WIDTH = 118


@dataclass(frozen=True)
class Table:
    """A title, a table and what has to be said about it; numbers are spelt already."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""

    def markdown(self) -> str:
        """Return a section of a Markdown page."""
        lines = [f"## {self.title}", ""]
        lines += [_line(self.head), _line(["---", *["---:"] * (len(self.head) - 1)])]
        lines += map(_line, self.rows)
        if self.note:
            lines += ["", wrapped(self.note)]
        return "\n".join(lines) + "\n"

    def show(self, console: Console) -> None:
        """Print it."""
        table = RichTable(title=self.title, title_justify="left", title_style="bold")
        for place, name in enumerate(self.head):
            table.add_column(name, justify="right" if place else "left")
        for row in self.rows:
            table.add_row(*row)
        console.print(table)
        if self.note:
            console.print(wrapped(self.note), style="italic")
        console.print()


def verdict(targets: Iterable[Target]) -> Table:
    """Return the table of what was wanted and what was found."""
    rows = [
        (target.what, target.wanted, target.found, "yes" if target.kept else "**missed**")
        for target in targets
    ]
    return Table("Targets", ("", "wanted", "found", "kept"), rows)


def wrapped(text: str) -> str:
    """Return the paragraphs of a text in lines of at most WIDTH."""
    paragraphs = text.strip().split("\n\n")
    return "\n\n".join(
        fill(paragraph, WIDTH, break_long_words=False, break_on_hyphens=False)
        for paragraph in paragraphs
    )


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
