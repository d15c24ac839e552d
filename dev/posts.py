"""The demo's posts, written for this project, and where their vectors are."""

from dataclasses import dataclass
from pathlib import Path

TEXTS = Path(__file__).parent / "data" / "posts.tsv"
VECTORS = TEXTS.with_suffix(".npy")


@dataclass(frozen=True)
class Text:
    topic: str
    title: str
    body: str


def texts() -> tuple[Text, ...]:
    """Read the posts in the order of the file, which is that of the vectors."""
    _, *lines = TEXTS.read_text(encoding="utf-8").splitlines()
    return tuple(Text(*line.split("\t")) for line in lines)
