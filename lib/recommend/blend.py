"""The blend that recommendations are ranked by: fitted, written to a file, and read from it."""

import json
from pathlib import Path

from lib.embedding.ranking import Blend

FILE = Path(__file__).with_suffix(".json")


def load_blend(file: Path = FILE) -> Blend:
    """Read a blend; raise TypeError where the file's names are not those of its fields."""
    return Blend(**json.loads(file.read_text()))
