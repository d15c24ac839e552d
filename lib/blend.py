"""The blend that recommendations are ranked by: fitted, written to a file, and read from it."""

import json
from dataclasses import asdict
from pathlib import Path

from lib.embedding.ranking import Blend

FILE = Path(__file__).with_suffix(".json")
"""What ships is fitted on two datasets together that want opposite things; evaluation/RANKING.md.

On Stack Exchange's questions newest first and popularity do best, on the demo's made-up users taste
does, and what is fitted on either alone loses on the other what it gains. The blend of both is, in
time that it was not fitted on, not shown to differ from the best single signal on the questions
(nDCG@10 -0.002, -0.029 to +0.023, 42 users), and better on the demo by 0.018 (0.012 to 0.024).
"""


def load_blend(file: Path = FILE) -> Blend:
    """Read a blend; raise TypeError where the file's names are not those of its fields."""
    return Blend(**json.loads(file.read_text()))


def write_blend(blend: Blend, file: Path = FILE) -> None:
    """Write a blend as `load_blend` reads it."""
    file.write_text(json.dumps(asdict(blend), indent=2) + "\n")
