"""What some vectors have beside them: their product with the mean, and their interests."""

from collections.abc import Sequence
from io import BytesIO
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from lib.embedding import DIMENSIONS
from lib.embedding.interests import InterestRows
from lib.store.database import Connection

WRITE_OFFSETS = """
INSERT INTO embedding.user_offsets (user_id, mean_id, centre)
SELECT user_id, $2::BIGINT, centre
FROM unnest($1::UUID[], $3::FLOAT8[]) AS made (user_id, centre)
ON CONFLICT (user_id) DO UPDATE SET mean_id = excluded.mean_id, centre = excluded.centre
"""


async def write_offsets(
    connection: Connection, users: Sequence[UUID], mean: int, centres: NDArray[np.float64]
) -> None:
    """Store the products, (n,), of the users' vectors with the mean."""
    if users:
        await connection.execute(WRITE_OFFSETS, users, mean, centres.tolist())


INTEREST = np.dtype(
    [
        ("fields", ">i2"),
        ("user_bytes", ">i4"),
        ("user", "V16"),
        ("place_bytes", ">i4"),
        ("place", ">i4"),
        ("share_bytes", ">i4"),
        ("share", ">f8"),
        ("medoid_bytes", ">i4"),
        ("medoid", "V16"),
        ("centre_bytes", ">i4"),
        ("centre", ">f8"),
        ("embedding_bytes", ">i4"),
    ]
)
"""A row of `user_interests` as binary COPY takes it, up to its vector."""

COLUMNS = ("user_id", "place", "share", "medoid", "centre", "embedding")

VECTOR = np.dtype([("dimensions", ">u2"), ("unused", ">u2"), ("numbers", ">f4", DIMENSIONS)])

HEAD = b"PGCOPY\n\xff\r\n\0" + bytes(8)
END = b"\xff\xff"

NULL = -1

# What goes with a vector when it is written is not what another writer, whom that write waited for,
# had just stored: this sees it.
FORGET_INTERESTS = """
DELETE FROM embedding.user_interests WHERE user_id = ANY ($1::UUID[])
"""


async def replace_interests(
    connection: Connection,
    users: Sequence[UUID],
    written: NDArray[np.bool_],
    rows: InterestRows,
) -> None:
    """Store interests in the place of those that their users had before.

    `users`, `written`: (n,), whom the rows' owners number, and whose vectors were written. In a
    transaction of the caller's, after that write, which holds off whoever writes the same users.
    """
    chosen = written[rows.owners]
    owners = [users[owner] for owner in np.unique(rows.owners[chosen])]
    if owners:
        await connection.execute(FORGET_INTERESTS, owners)
        # takes a third of the time of an INSERT of an array of vectors
        await connection.copy_to_table(
            "user_interests",
            schema_name="embedding",
            columns=COLUMNS,
            source=BytesIO(_packed(users, rows, chosen)),
            format="binary",
        )


def _packed(users: Sequence[UUID], rows: InterestRows, chosen: NDArray[np.bool_]) -> bytes:
    """Return the chosen rows, (i,), as COPY takes them; NULL for the vector of an only one."""
    ids = np.frombuffer(b"".join(user.bytes for user in users), dtype="V16")
    heads = np.zeros(len(rows.owners), dtype=INTEREST)
    heads["fields"] = len(COLUMNS)
    heads["user_bytes"] = heads["medoid_bytes"] = 16
    heads["share_bytes"] = heads["centre_bytes"] = 8
    heads["place_bytes"] = 4
    heads["user"] = ids[rows.owners]
    heads["place"] = rows.places
    heads["share"] = rows.shares
    heads["medoid"] = rows.medoids
    heads["centre"] = rows.centres
    several = np.bincount(rows.owners)[rows.owners] > 1
    heads["embedding_bytes"] = np.where(several, VECTOR.itemsize, NULL)
    several &= chosen
    whole = np.zeros(np.count_nonzero(several), dtype=[("head", INTEREST), ("vector", VECTOR)])
    whole["head"] = heads[several]
    whole["vector"]["dimensions"] = DIMENSIONS
    whole["vector"]["numbers"] = rows.vectors[several]
    return b"".join([HEAD, heads[chosen & ~several].tobytes(), whole.tobytes(), END])
