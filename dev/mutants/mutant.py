"""One fault of the code: what it replaces by what, and the test that must notice."""

from dataclasses import dataclass
from pathlib import Path


class NotThere(Exception):
    """The code that a mutant changes is not there, or not only once."""


@dataclass(frozen=True)
class Mutant:
    """`test` is the node id that must fail once `before`, found once in `file`, is `after`.

    `seed`: what the test's dice then fall by, where it throws any.
    """

    name: str
    file: str
    before: str
    after: str
    test: str
    seed: int | None = None

    @property
    def arguments(self) -> tuple[str, ...]:
        """What pytest is told to run the test."""
        dice = () if self.seed is None else (f"--hypothesis-seed={self.seed}",)
        return (*dice, self.test)

    def apply(self, root: Path) -> str:
        """Change the file below `root` and return what it held; raise NotThere."""
        path = root / self.file
        text = path.read_text()
        if text.count(self.before) != 1:
            raise NotThere(
                f"{self.name}: expected once in {self.file}, found"
                f" {text.count(self.before)} times: {self.before!r}"
            )
        path.write_text(text.replace(self.before, self.after))
        return text
