"""Posts with their vectors, and what is wrong with these."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from evaluation.live.session import Session
from lib.embedding import DIMENSIONS
from lib.embedding.aggregate import lengths
from lib.store.posts import EMBEDDING, VECTOR_BYTES

BUCKETS = 65_536
CHUNK = 5_000  # posts asked for at a time, 8 MB of vectors

COUNT = """
SELECT count(*) FROM post_embeddings WHERE post_id IS NOT NULL
"""

SOME = """
SELECT string_agg(uuid_send(post_id), '')
FROM (
  SELECT DISTINCT post_id
  FROM post_embeddings
  WHERE uuid_hash_extended(post_id, 0) & 65535 < $1::BIGINT
  LIMIT $2
) AS post
"""

EMBEDDINGS = """
SELECT record_send(row (post_id, embedding)) AS packed, model_version
FROM post_embeddings
WHERE post_id = ANY (string_to_array($1::TEXT, ',')::UUID[])
"""

TIMES = """
SELECT string_agg(uuid_send(id) || timestamptz_send(created_at), '')
FROM posts
WHERE id = ANY (string_to_array($1::TEXT, ',')::UUID[])
"""

TIME = np.dtype([("post", "V16"), ("at", ">i8")])

ROUNDING = 0.01
"""A vector's length may be so far from 1, as half precision leaves it."""

UNKNOWN = np.iinfo(np.int64).min


class State(IntEnum):
    """Whether a post's vector counts; if not, why."""

    COUNTS = 0
    ABSENT = 1
    OTHER_MODEL = 2
    ODD = 3


@dataclass(frozen=True, eq=False)
class Posts:
    """Some posts, ids ascending, (p,) each.

    `vectors`: (p, 384), zeros unless COUNTS; `created`: microseconds since 2000, UNKNOWN where no
    row says so. `models`: how many rows each model version has, the commonest first; `model`: that
    with the most vectors of 384 numbers, the one that counts. `odd`: how many of its rows are odd,
    by what is odd about them. `stretched`: how many that count have a length other than 1.
    """

    ids: NDArray[np.void]
    vectors: NDArray[np.float32]
    created: NDArray[np.int64]
    states: NDArray[np.int64]
    models: Mapping[str, int]
    model: str | None
    odd: Mapping[str, int]
    stretched: int


async def count_embeddings(session: Session) -> int:
    """Return how many rows `post_embeddings` has."""
    counted: int = await session.value("post_embeddings", COUNT)
    return counted


async def some_posts(session: Session, room: int, total: int) -> NDArray[np.void]:
    """Return at most `room` of `total` embedded posts, chosen by a hash of their ids: of V16."""
    share = min(BUCKETS, room * BUCKETS // max(total, 1))
    packed = await session.value("a sample of post_embeddings", SOME, share, room)
    return np.frombuffer(packed or b"", "V16")


async def read_posts(session: Session, ids: NDArray[np.void]) -> Posts:
    """Read what is known of the posts: (p,) of V16, ascending, each once."""
    found, models = [np.empty(0, EMBEDDING)], [np.empty(0, object)]
    created = np.full(len(ids), UNKNOWN)
    for first in range(0, len(ids), CHUNK):
        asked = ids[first : first + CHUNK].tobytes().hex(",", 16)
        rows = await session.fetch("post_embeddings", EMBEDDINGS, asked)
        packed = (row["packed"].ljust(EMBEDDING.itemsize, b"\0") for row in rows)
        cut = b"".join(one[: EMBEDDING.itemsize] for one in packed)
        found.append(np.frombuffer(cut, EMBEDDING))
        models.append(np.array([row["model_version"] for row in rows], object))
        times = np.frombuffer(await session.value("posts", TIMES, asked) or b"", TIME)
        created[np.searchsorted(ids, times["post"].copy())] = times["at"]
    return _judged(ids, created, np.concatenate(found), np.concatenate(models))


def _judged(
    ids: NDArray[np.void],
    created: NDArray[np.int64],
    rows: NDArray[np.void],
    models: NDArray[np.object_],
) -> Posts:
    """Tell which vectors count."""
    whole = rows["embedding_bytes"] == VECTOR_BYTES
    common = Counter((models[whole] if whole.any() else models).tolist()).most_common(1)
    model = common[0][0] if common else None
    mine = models == model
    sizes = np.where(whole, lengths(rows["embedding"].astype(np.float32)), 0.0)
    counts = mine & (sizes > 0)
    places = np.searchsorted(ids, rows["post"].copy())
    states = np.full(len(ids), State.ABSENT.value)
    states[places[~mine]] = State.OTHER_MODEL
    states[places[mine & ~counts]] = State.ODD
    states[places[counts]] = State.COUNTS
    vectors = np.zeros((len(ids), DIMENSIONS), np.float32)
    vectors[places[counts]] = rows["embedding"][counts]
    return Posts(
        ids,
        vectors,
        created,
        states,
        dict(Counter(str(name) for name in models).most_common()),
        model,
        _odd(rows[mine], sizes[mine]),
        int((np.abs(sizes[counts] - 1) > ROUNDING).sum()),
    )


def _odd(rows: NDArray[np.void], sizes: NDArray[np.float64]) -> Mapping[str, int]:
    """Count what is odd about the rows of the model."""
    found: Counter[str] = Counter()
    for size in rows["embedding_bytes"][rows["embedding_bytes"] != VECTOR_BYTES].tolist():
        found["NULL" if size < 0 else f"{(size - 4) // 4} numbers"] += 1
    whole = (rows["embedding_bytes"] == VECTOR_BYTES) & (sizes == 0)
    finite = np.isfinite(rows["embedding"]).all(axis=1)
    found["zero"] = int((whole & finite).sum())
    found["not finite"] = int((whole & ~finite).sum())
    return {name: number for name, number in found.items() if number}
