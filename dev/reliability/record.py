"""What one test of a fault found, and the file that a run's findings go to."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Record:
    """One test's finding.

    `tried`: how many times the fault was made. Of the users looked at afterwards, `lost` had no
    vector where the reference makes one, and `wrong` another than the reference's.
    """

    test: str
    """File and name, without parameters."""
    case: str
    """What stands in brackets behind the name; empty for a test of one case."""
    faults: tuple[int, ...]
    passed: bool
    tried: int
    users: int
    lost: int
    wrong: int
    notes: tuple[str, ...] = ()
    """What else a reader needs to repeat it, a seed for instance."""


def append(file: Path, record: Record) -> None:
    """Add a record to a file of one record a line, which only this process writes."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as lines:
        lines.write(json.dumps(asdict(record)) + "\n")


def read(folder: Path) -> Sequence[Record]:
    """Return all records of a folder's files, by test and case."""
    found = [
        Record(**{**fields, "faults": tuple(fields["faults"]), "notes": tuple(fields["notes"])})
        for file in sorted(folder.glob("*.jsonl"))
        for fields in map(json.loads, file.read_text().splitlines())
    ]
    return sorted(found, key=lambda record: (record.test, record.case))
