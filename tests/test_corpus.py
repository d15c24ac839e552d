"""What fuzzing starts from, and what it once found, goes through the same targets without it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dev.fuzz.reading import NoJson, read
from dev.fuzz.targets import TARGETS
from dev.stack import ROOT

CORPUS = ROOT / "tests" / "corpus"
FILES = sorted(file for file in CORPUS.glob("*/*"))
FAULTS = {"signature": 18, "message": 25, "failure": 25, "log": 24, "impressions": 24, "query": 27}

pytestmark = pytest.mark.filterwarnings("ignore::jwt.InsecureKeyLengthWarning")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.fault(FAULTS[name])) for name in TARGETS]
)
def test_every_input_of_the_corpus_is_judged_as_by_hand(name: str):
    files = [file for file in FILES if file.parent.name == name]
    assert len(files) >= 10
    for file in files:
        TARGETS[name](file.read_bytes())


def test_every_folder_of_the_corpus_has_its_target_and_no_file_is_large():
    assert {file.parent.name for file in FILES} == set(TARGETS)
    assert [file for file in FILES if file.stat().st_size > 8192] == []


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    )
)
def test_the_reading_by_hand_reads_whatever_json_is(value: object):
    text = json.dumps(value)
    if "Infinity" not in text:
        assert read(text.encode()) == json.loads(text)
        assert read(json.dumps(value, indent=1).encode()) == json.loads(text)


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[1,]", "[1 2]", '{"a":1,"a":2}', '{"a"}', "01", "1.", "+1", ".5", "NaN", '"'),
        *('"\n"', '"\\x"', '"\\u12"', "[}", "1 2", "True", "\ufeff1", "{1:2}"),
    ],
)
def test_the_reading_by_hand_reads_nothing_else(text: str):
    with pytest.raises(NoJson):
        read(text.encode())
