"""docs/reliability.md names what the tests make, and is written from what they counted."""

import re
from pathlib import Path

import pytest

from dev.mutants.mutant import Mutant, NotThere
from dev.mutants.table import MUTANTS
from dev.reliability.faults import FAULTS, PROMISES
from dev.reliability.record import Record, append, read
from dev.reliability.report import Findings, page, untested
from dev.stack import ROOT

PAGE = (ROOT / "docs" / "reliability.md").read_text()


def record(number: int, **changed: object) -> Record:
    fields = {"passed": True, "tried": 3, "users": 60, "lost": 0, "wrong": 0} | changed
    return Record("tests/test_x.py::test_x_holds", "a", (number,), **fields)


def test_page_has_every_fault_and_none_without_a_test():
    for fault in FAULTS:
        assert f"### {fault.number}. " in PAGE
    for trouble in ("No test ran.", "Not run", "**no**", "**failed", "**lives**"):
        assert trouble not in PAGE


def test_tests_that_the_page_names_exist():
    for words, file in re.findall(r"^\| \[([^\]]+)\]\(\.\./([^)]+)\)", PAGE, re.MULTILINE):
        assert f"def test_{words.replace(' ', '_')}(" in (ROOT / file).read_text(), words


def test_every_promise_is_put_to_a_fault():
    assert {name for fault in FAULTS for name in fault.promises} == set(PROMISES)


def test_page_says_what_was_lost_and_what_failed():
    text = page(Findings([record(1, lost=2, passed=False)], [], [], "here"))
    assert "| [x holds](../tests/test_x.py) | 3 | 60 | 2 | 0 | **failed: 1** |" in text
    assert "**no**" in text
    assert len(untested([record(1)])) == len(FAULTS) - 1


def test_records_are_read_as_they_were_written(tmp_path: Path):
    kept = [record(2, notes=("seed 5",)), record(1)]
    for one in kept:
        append(tmp_path / "main.jsonl", one)
    assert list(read(tmp_path)) == kept


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_mutant_changes_code_that_is_there(mutant: Mutant, tmp_path: Path):
    (tmp_path / mutant.file).parent.mkdir(parents=True)
    text = (ROOT / mutant.file).read_text()
    (tmp_path / mutant.file).write_text(text)
    assert mutant.apply(tmp_path) == text
    assert (tmp_path / mutant.file).read_text() != text
    file, _, name = mutant.test.partition("::")
    assert f"def {name.partition('[')[0]}(" in (ROOT / file).read_text()


def test_mutant_of_code_that_is_gone_is_named(tmp_path: Path):
    (tmp_path / "code.py").write_text("x = 1\n")
    with pytest.raises(NotThere, match=r"old: expected once in code\.py, found 0 times"):
        Mutant("old", "code.py", "y = 1", "y = 2", "").apply(tmp_path)
