"""A snapshot's name and its manifest, as they are written and read."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.errors import Damaged
from lib.snapshot.manifest import Entry, Manifest, Name

RUN = UUID("6f9619ff-8b86-4d01-b42d-00cf4fc964ff")
NAME = Name(datetime(2026, 11, 26, 19, 20, tzinfo=UTC), RUN)
PARTS = (
    Entry(2, UUID(int=1), UUID(int=5), 100, "a" * 64),
    Entry(1, UUID(int=7), UUID(int=7), 90, "b" * 64),
    Entry(0, None, None, 10, "c" * 64),
)
MANIFEST = Manifest(NAME, PARTS)

names = st.builds(
    Name,
    st.integers(0, 2**32).map(lambda seconds: datetime.fromtimestamp(seconds, UTC)),
    st.uuids(),
)


def test_names_and_keys_are_the_same_for_ever():
    assert str(NAME) == f"20261126T192000Z-{RUN}"
    assert NAME.part(7) == f"snapshots/20261126T192000Z-{RUN}/part-00007.npz"
    assert NAME.manifest == f"snapshots/20261126T192000Z-{RUN}/manifest.json"


@given(one=names, other=names)
def test_name_is_read_as_it_was_written_and_sorts_by_time(one: Name, other: Name):
    assert Name.parse(str(one)) == one
    if one.taken < other.taken:
        assert one < other
        assert str(one) < str(other)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "latest",
        f"20261126T192000Z-{RUN}/",
        f"20261126T192000Z-{str(RUN).upper()}",
        f"20261326T192000Z-{RUN}",
        f"20261126T192000Z-{'-' * 36}",
        f"123-{RUN}",
    ],
)
def test_what_is_no_name_is_none(text: str):
    assert Name.parse(text) is None


def test_manifest_is_read_as_it_was_written():
    assert Manifest.parse(MANIFEST.encode()) == MANIFEST
    assert MANIFEST.users == 3


def spelt(**fields: Any) -> bytes:
    """Return the manifest with other fields, spelt as usual."""
    whole = {**json.loads(MANIFEST.encode()), **fields}
    return json.dumps(whole, sort_keys=True, separators=(",", ":")).encode()


def with_parts(*parts: Entry) -> bytes:
    return Manifest(NAME, parts).encode()


WRONG = {
    "nothing": b"",
    "no object": b"[]",
    "cut off": MANIFEST.encode()[:-1],
    "spaces": MANIFEST.encode() + b" ",
    "another version": spelt(version=2),
    "another name": spelt(snapshot="latest"),
    "another sum": spelt(users=4),
    "a field too many": spelt(more=1),
    "parts that are none": spelt(parts=7),
    "a part that is none": spelt(parts=[7]),
    "a user that is none": spelt(parts=[{**json.loads(MANIFEST.encode())["parts"][0], "last": 1}]),
    "no parts": with_parts(),
    "parts in another order": with_parts(PARTS[1], PARTS[0]),
    "a part twice": with_parts(PARTS[0], PARTS[0]),
    "users without a first": with_parts(replace(PARTS[0], first=None)),
    "the last before the first": with_parts(replace(PARTS[0], first=UUID(int=9))),
}


@pytest.mark.parametrize("data", WRONG.values(), ids=WRONG.keys())
def test_any_other_manifest_is_damaged(data: bytes):
    with pytest.raises(Damaged, match="expected"):
        Manifest.parse(data)
