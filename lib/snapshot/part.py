"""A part of a snapshot as bytes: arrays in an .npz, the same bytes for the same part."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from lib.embedding import DIMENSIONS
from lib.embedding.interests import InterestRows
from lib.errors import Damaged
from lib.store.means import Mean
from lib.store.snapshots import Part

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

NONE = -(2**63)
"""In the place of a time or of a mean where there is none."""

NONSENSE = (EOFError, IndexError, KeyError, OSError, OverflowError, ValueError)

KINDS = {
    "user": "V16",
    "vector": "<f4",
    "model": "S",
    "generated_at": "<i8",
    "erased_at": "<i8",
    "mean": "<i8",
    "centre": "<f8",
    "interest_owner": "<i8",
    "interest_place": "<i8",
    "interest_share": "<f8",
    "interest_medoid": "V16",
    "interest_centre": "<f8",
    "interest_vector": "<f4",
    "mean_id": "<i8",
    "mean_model": "S",
    "mean_cut": "<i8",
    "mean_count": "<i8",
    "mean_vector": "<f4",
}
"""What is in it: n users, then i interests, then k means; times in microseconds since 1970."""


def encode(part: Part) -> bytes:
    """Return the bytes of a part: `decode` reads it back, bit for bit."""
    rows = part.interests
    columns = {
        "user": _packed(part.users),
        "vector": part.vectors,
        "model": _texts(part.models),
        "generated_at": _times(part.generated_at),
        "erased_at": _times(part.erased_at),
        "mean": [NONE if mean is None else mean for mean in part.mean_ids],
        "centre": part.centres,
        "interest_owner": rows.owners,
        "interest_place": rows.places,
        "interest_share": rows.shares,
        "interest_medoid": rows.medoids,
        "interest_centre": rows.centres,
        # an only one is the user's own vector
        "interest_vector": rows.vectors[_several(rows.owners)],
        "mean_id": [mean.id for mean in part.means],
        "mean_model": _texts([mean.model for mean in part.means]),
        "mean_cut": _times([mean.cut for mean in part.means]),
        "mean_count": [mean.count for mean in part.means],
        "mean_vector": np.array([mean.vector for mean in part.means]).reshape(-1, DIMENSIONS),
    }
    buffer = BytesIO()
    arrays: dict[str, Any] = {
        name: np.asarray(column, dtype=KINDS[name]) for name, column in columns.items()
    }
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def decode(data: bytes) -> Part:
    """Return the part that these bytes are; raise Damaged for any others."""
    from zipfile import BadZipFile  # noqa: PLC0415  # not before a snapshot is worked with

    try:
        with np.load(BytesIO(data), allow_pickle=False) as file:
            arrays = {name: _checked(name, file[name]) for name in KINDS}
        return _part(arrays)
    except (BadZipFile, *NONSENSE) as error:
        raise Damaged(f"expected a part of a snapshot: {type(error).__name__}: {error}") from None


def _part(arrays: dict[str, NDArray[Any]]) -> Part:
    owners = arrays["interest_owner"].astype(np.intp)
    vectors = arrays["vector"].reshape(len(arrays["user"]), DIMENSIONS)
    own = vectors[owners]
    own[_several(owners)] = arrays["interest_vector"]
    interests = {
        name.removeprefix("interest_"): len(column)
        for name, column in arrays.items()
        if name.startswith("interest_") and name != "interest_vector"
    }
    users = {name: len(arrays[name]) for name in (*list(KINDS)[:7],)}
    if len(set(users.values())) > 1 or len(set(interests.values())) > 1:
        raise ValueError("columns of different lengths")
    means = zip(
        arrays["mean_id"].tolist(),
        _read_texts(arrays["mean_model"]),
        (EPOCH + time * MICROSECOND for time in arrays["mean_cut"].tolist()),
        arrays["mean_count"].tolist(),
        arrays["mean_vector"].astype(np.float64),
        strict=True,
    )
    return Part(
        _unpacked(arrays["user"]),
        vectors,
        _read_texts(arrays["model"]),
        _read_times(arrays["generated_at"]),
        _read_times(arrays["erased_at"]),
        [None if mean == NONE else mean for mean in arrays["mean"].tolist()],
        arrays["centre"],
        InterestRows(
            owners,
            arrays["interest_place"].astype(np.intp),
            arrays["interest_share"],
            arrays["interest_medoid"],
            arrays["interest_centre"],
            own,
        ),
        tuple(Mean(*row) for row in means),
    )


def _checked(name: str, array: NDArray[Any]) -> NDArray[Any]:
    kind = np.dtype(KINDS[name])
    if array.dtype.kind != kind.kind or (kind.itemsize and array.dtype != kind):
        raise ValueError(f"{name} of {kind}, got {array.dtype}")
    return array


def _several(owners: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Return which of the interests, (i,), are not their owner's only one."""
    several: NDArray[np.bool_] = np.bincount(owners)[owners] > 1
    return several


def _packed(users: Sequence[UUID]) -> NDArray[np.void]:
    return np.frombuffer(b"".join(user.bytes for user in users), dtype="V16")


def _unpacked(users: NDArray[np.void]) -> list[UUID]:
    data = users.tobytes()
    return [UUID(bytes=data[at : at + 16]) for at in range(0, len(data), 16)]


def _texts(texts: Sequence[str]) -> list[bytes]:
    return [text.encode() for text in texts]


def _read_texts(texts: NDArray[np.bytes_]) -> list[str]:
    return [text.decode() for text in texts.tolist()]


def _times(times: Sequence[datetime | None]) -> list[int]:
    return [NONE if time is None else (time - EPOCH) // MICROSECOND for time in times]


def _read_times(times: NDArray[np.int64]) -> list[datetime | None]:
    return [None if time == NONE else EPOCH + time * MICROSECOND for time in times.tolist()]
