"""The platform's post embeddings."""

import numpy as np
from numpy.typing import NDArray

from lib.embedding import DIMENSIONS
from lib.embedding.warm import NEVER
from lib.store.database import Connection

VERSION = np.dtype([("post", "V16"), ("version", ">i8")])

EMBEDDING = np.dtype(
    [
        ("fields", ">i4"),
        ("post_type", ">i4"),
        ("post_bytes", ">i4"),
        ("post", "V16"),
        ("embedding_type", ">i4"),
        ("embedding_bytes", ">i4"),
        ("dimensions", ">u2"),
        ("unused", ">u2"),
        ("embedding", ">f4", DIMENSIONS),
    ]
)
"""A row of a post's id and its vector, as `record_send` writes it."""

VECTOR_BYTES = 4 + 4 * DIMENSIONS

READ_VERSIONS = """
SELECT string_agg(
  uuid_send(post_id) || timestamptz_send(coalesce(updated_at, 'infinity')), ''
)
FROM post_embeddings
WHERE post_id = ANY (string_to_array($1::TEXT, ',')::UUID[]) AND model_version = $2::TEXT
"""


async def read_versions(
    connection: Connection, posts: NDArray[np.void], model_version: str
) -> NDArray[np.int64]:
    """Read when the posts were embedded by one model, (p,) in microseconds since 2000.

    `posts`: (p,) of V16, sorted and distinct. NEVER where there is no row, UNDATED where a row
    does not say.
    """
    versions = np.full(len(posts), NEVER)
    if len(posts):
        packed = await connection.fetchval(READ_VERSIONS, _ids(posts), model_version)
        found = np.frombuffer(packed or b"", dtype=VERSION)
        versions[_places(posts, found["post"].copy())] = found["version"]
    return versions


# A bytea a post: objects for vectors take twice as long. The vector's own function for that lives
# in whatever schema the extension does, `record_send` is always at hand.
READ_EMBEDDINGS = """
SELECT record_send(row (post_id, embedding)) AS packed
FROM post_embeddings
WHERE post_id = ANY (string_to_array($1::TEXT, ',')::UUID[])
  AND model_version = $2::TEXT AND embedding IS NOT NULL
"""


async def read_embeddings(
    connection: Connection, posts: NDArray[np.void], model_version: str
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Read the posts' vectors of one model, in the order asked for.

    `posts`: (p,) of V16, sorted and distinct. Returns (p, 384), zeros where there is none or one of
    another length, and (p,) whether the post has an embedding, usable or not.
    """
    vectors = np.zeros((len(posts), DIMENSIONS), dtype=np.float32)
    embedded = np.zeros(len(posts), dtype=np.bool_)
    rows = await connection.fetch(READ_EMBEDDINGS, _ids(posts), model_version)
    packed = [row["packed"] for row in rows]
    found = np.frombuffer(
        b"".join(one.ljust(EMBEDDING.itemsize, b"\0")[: EMBEDDING.itemsize] for one in packed),
        EMBEDDING,
    )
    places = _places(posts, found["post"].copy())
    embedded[places] = True
    whole = found["embedding_bytes"] == VECTOR_BYTES
    vectors[places[whole]] = found["embedding"][whole]
    return vectors, embedded


EXISTING_POSTS = """
SELECT uuid_send(id) AS post FROM posts WHERE id = ANY (string_to_array($1::TEXT, ',')::UUID[])
"""


async def existing(connection: Connection, posts: NDArray[np.void]) -> NDArray[np.bool_]:
    """Which of the posts still exist. `posts`: (p,) of V16 -> (p,)."""
    rows = await connection.fetch(EXISTING_POSTS, _ids(posts))
    found = np.frombuffer(b"".join(row["post"] for row in rows), dtype="V16")
    return np.isin(posts, found)


def _places(posts: NDArray[np.void], found: NDArray[np.void]) -> NDArray[np.intp]:
    """Where those found stand among the posts; in most slices all are found, in their order."""
    if found.tobytes() == posts.tobytes():
        return np.arange(len(posts))
    return np.searchsorted(posts, found)


def _ids(posts: NDArray[np.void]) -> str:
    # As text: 30,000 objects take the event loop ten times as long to make and to send.
    return posts.tobytes().hex(",", 16)
