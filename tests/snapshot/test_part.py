"""A part of a snapshot, from arrays to bytes and back."""

import io
import re
import zipfile
from datetime import UTC, datetime, timedelta
from random import Random
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.embedding.interests import InterestRows
from lib.errors import Damaged
from lib.snapshot.part import decode, encode
from lib.store.means import Mean
from lib.store.snapshots import Part

NOW = datetime(2026, 11, 26, 19, 20, 0, 123457, tzinfo=UTC)


def made(users: int, seed: int = 1) -> Part:
    """Make a part of so many users, each of whom has up to three interests."""
    random, numbers = Random(seed), np.random.default_rng(seed)
    ids = sorted(UUID(int=random.getrandbits(128)) for _ in range(users))
    vectors = numbers.normal(size=(users, 384)).astype(np.float32)
    counts = [random.randrange(4) for _ in ids]
    owners = np.repeat(np.arange(users), counts)
    own = np.array([counts[owner] == 1 for owner in owners], dtype=bool)
    interests = numbers.normal(size=(len(owners), 384)).astype(np.float32)
    interests[own] = vectors[owners[own]]
    times = [random.choice([None, NOW - timedelta(microseconds=n * 7)]) for n in range(users)]
    return Part(
        ids,
        vectors,
        [random.choice(["m", "model/räte@1#4", "x" * 200]) for _ in ids],
        times,
        times[::-1],
        [random.choice([None, 4, 2**60]) for _ in ids],
        numbers.normal(size=users),
        InterestRows(
            owners,
            np.array([place for count in counts for place in range(count)], dtype=np.intp),
            numbers.random(len(owners)),
            np.frombuffer(numbers.bytes(16 * len(owners)), dtype="V16"),
            numbers.normal(size=len(owners)),
            interests,
        ),
        (Mean(4, "m", NOW, 10, numbers.normal(size=384).astype(np.float32).astype(float)),)
        * bool(users),
    )


def assert_same(one: Part, other: Part) -> None:
    """Hold that two parts agree bit for bit."""
    for name, value in vars(one).items():
        match value:
            case np.ndarray():
                assert value.tobytes() == getattr(other, name).tobytes(), name
            case InterestRows() as rows:
                for column, array in vars(rows).items():
                    assert array.tobytes() == getattr(other.interests, column).tobytes(), column
            case tuple() as means:
                assert [(m.id, m.model, m.cut, m.count, m.vector.tolist()) for m in means] == [
                    (m.id, m.model, m.cut, m.count, m.vector.tolist()) for m in other.means
                ]
            case _:
                assert value == getattr(other, name), name


@given(users=st.integers(0, 40), seed=st.integers(0, 2**32))
def test_part_comes_back_bit_for_bit_and_has_the_same_bytes_again(users: int, seed: int):
    part = made(users, seed)
    data = encode(part)
    assert_same(decode(data), part)
    assert encode(decode(data)) == data


def test_bytes_are_those_of_the_part_and_of_no_clock():
    with zipfile.ZipFile(io.BytesIO(encode(made(3)))) as file:
        assert {entry.date_time for entry in file.infolist()} == {(1980, 1, 1, 0, 0, 0)}


@given(users=st.integers(0, 30), seed=st.integers(0, 2**32), chosen=st.randoms())
def test_only_the_chosen_users_stay_with_their_interests(users: int, seed: int, chosen: Random):
    part = made(users, seed)
    mask = np.array([chosen.random() < 0.5 for _ in range(users)], dtype=bool)
    less = part.only(mask)
    wanted = [
        (part.users[owner], place, share)
        for owner, place, share in zip(
            part.interests.owners, part.interests.places, part.interests.shares, strict=True
        )
        if mask[owner]
    ]
    found = less.interests
    assert less.users == [user for user, stays in zip(part.users, mask, strict=True) if stays]
    assert less.vectors.tobytes() == part.vectors[mask].tobytes()
    assert [
        (less.users[owner], place, share)
        for owner, place, share in zip(found.owners, found.places, found.shares, strict=True)
    ] == wanted


def changed(**columns: np.ndarray) -> bytes:
    """Return a part's bytes with other columns."""
    with np.load(io.BytesIO(encode(made(5)))) as file:
        arrays = {**file, **columns}
    buffer = io.BytesIO()
    np.savez(buffer, **{name: array for name, array in arrays.items() if array is not None})
    return buffer.getvalue()


WRONG = {
    "nothing": b"",
    "no zip": b"part" * 100,
    "cut off": encode(made(5))[:-100],
    "a column missing": changed(model=None),
    "a column of another kind": changed(centre=np.zeros(5, dtype=np.float32)),
    "a column that is too long": changed(centre=np.zeros(6)),
    "vectors of another length": changed(vector=np.zeros((5, 100), dtype=np.float32)),
    "an owner who is not there": changed(interest_owner=np.array([77])),
    "an owner below nought": changed(interest_owner=np.array([-1])),
    "objects": changed(model=np.array([{}], dtype=object)),
    "a time beyond all years": changed(generated_at=np.full(5, 2**62)),
    "text that is none": changed(model=np.array([b"\xff"] * 5)),
    "a mean too many": changed(mean_id=np.array([1, 2, 3])),
}


@pytest.mark.parametrize("data", WRONG.values(), ids=WRONG.keys())
def test_any_other_bytes_are_damaged(data: bytes):
    with pytest.raises(Damaged, match=re.escape("expected a part of a snapshot")):
        decode(data)
