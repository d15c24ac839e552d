"""The platform's post embeddings."""

from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from lib.embedding import DIMENSIONS
from lib.store.database import Connection

READ_EMBEDDINGS = """
SELECT post_id, embedding
FROM post_embeddings
WHERE post_id = ANY ($1::UUID[]) AND model_version = $2 AND embedding IS NOT NULL
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
    found = np.frombuffer(b"".join(row["post_id"].bytes for row in rows), dtype="V16")
    places = np.searchsorted(posts, found)
    for place, row in zip(places, rows, strict=True):
        embedded[place] = True
        if row["embedding"].dimensions() == DIMENSIONS:
            vectors[place] = row["embedding"].to_numpy()
    return vectors, embedded


EXISTING_POSTS = """
SELECT id FROM posts WHERE id = ANY ($1::UUID[])
"""


async def existing(connection: Connection, posts: NDArray[np.void]) -> NDArray[np.bool_]:
    """Which of the posts still exist. `posts`: (p,) of V16 -> (p,)."""
    rows = await connection.fetch(EXISTING_POSTS, _ids(posts))
    found = np.frombuffer(b"".join(row["id"].bytes for row in rows), dtype="V16")
    return np.isin(posts, found)


def _ids(posts: NDArray[np.void]) -> list[UUID]:
    return [UUID(bytes=post.tobytes()) for post in posts]
