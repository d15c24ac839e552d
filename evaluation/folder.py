"""A dataset in a folder."""

import csv
from datetime import UTC, datetime
from pathlib import Path

from dev.world import load
from evaluation.dataset import Dataset
from evaluation.world import of_world

UNDATED = "Items have no time of their own there: each exists from the first action on it."


def read_folder(folder: Path) -> Dataset:
    """Read `interactions.csv`, `items.csv`, `item_ids.txt`, `item_embeddings.npy` and README.md.

    The title and the first paragraph of README.md are what is told about the data. Raises OSError,
    LookupError or ValueError if this is no such folder.
    """
    with (folder / "interactions.csv").open(encoding="utf-8", newline="") as file:
        last = max(float(row["ts"]) for row in csv.DictReader(file))
    world = load(folder, datetime.fromtimestamp(last, UTC))
    return of_world(world, folder.resolve().name, f"{_about(folder / 'README.md')} {UNDATED}")


def _about(readme: Path) -> str:
    """Return the title and the first paragraph of a README, if there is one."""
    if not readme.exists():
        return "The folder has no README.md that says where the data come from."
    paragraphs = readme.read_text(encoding="utf-8").split("\n\n")
    title, text = paragraphs[0].removeprefix("# "), " ".join(paragraphs[1].split())
    return f"{title}. {text}"
