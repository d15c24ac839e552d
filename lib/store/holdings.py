"""All that is held about one user, table by table."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from lib.store.database import Connection
from lib.store.erasures import Erasure, read_erasure
from lib.store.recorded import Recorded, read_recorded
from lib.store.rows import every, one


@dataclass(frozen=True)
class HeldVector:
    """The row of `user_embeddings`; `embedding`: (384,) float32."""

    id: UUID
    embedding: NDArray[np.float32] | None
    model_version: str
    generated_at: datetime | None
    updated_at: datetime | None
    created_by: UUID | None


@dataclass(frozen=True)
class Offset:
    """The vector's product with the mean that it was centred with."""

    mean_id: int
    centre: float


@dataclass(frozen=True)
class Interest:
    """One of several interests; `embedding`: (384,) float32."""

    place: int
    share: float
    medoid: UUID
    centre: float
    embedding: NDArray[np.float32] | None


@dataclass(frozen=True)
class Shadow:
    """What another scheme made, beside the vector; `embedding`: (384,) float32."""

    embedding: NDArray[np.float32]
    model_version: str
    generated_at: datetime
    similarity: float | None


@dataclass(frozen=True)
class Copied:
    """The row of the copy that similar users are looked for in; `embedding`: (384,) float32."""

    model_version: str
    embedding: NDArray[np.float32]


@dataclass(frozen=True)
class Exposure:
    """A scheme that an experiment gave the user."""

    experiment: str
    scheme: str
    since: datetime


@dataclass(frozen=True)
class Failure:
    """Why no vector could be made."""

    reason: str
    attempts: int
    run_id: UUID
    failed_at: datetime


@dataclass(frozen=True)
class Work:
    """A place on a run's work list."""

    run_id: UUID
    page: int
    remake: bool


@dataclass(frozen=True)
class Holdings:
    """What Postgres held about a user at `read_at`; `due`: why the next run takes the user."""

    read_at: datetime
    vector: HeldVector | None
    offset: Offset | None
    interests: tuple[Interest, ...]
    shadow: Shadow | None
    copy: Copied | None
    exposures: tuple[Exposure, ...]
    failure: Failure | None
    due: tuple[str, ...]
    work: tuple[Work, ...]
    recorded: Recorded
    erasure: Erasure | None


READ_TIME = """
SELECT clock_timestamp()
"""

READ_VECTOR = """
SELECT id, embedding, model_version, generated_at, updated_at, created_by
FROM user_embeddings
WHERE user_id = $1::UUID
"""

READ_OFFSET = """
SELECT mean_id, centre FROM embedding.user_offsets WHERE user_id = $1::UUID
"""

READ_INTERESTS = """
SELECT place, share, medoid, centre, embedding
FROM embedding.user_interests
WHERE user_id = $1::UUID
ORDER BY place
"""

READ_SHADOW = """
SELECT embedding, model_version, generated_at, similarity
FROM embedding.shadow_vectors
WHERE user_id = $1::UUID
"""

# the copy is opt-in
HAS_COPY = """
SELECT to_regclass('embedding.user_neighbours') IS NOT NULL
"""

READ_COPY = """
SELECT model_version, embedding FROM embedding.user_neighbours WHERE user_id = $1::UUID
"""

READ_EXPOSURES = """
SELECT experiment, scheme, since
FROM embedding.exposures
WHERE user_id = $1::UUID
ORDER BY experiment
"""

READ_FAILURE = """
SELECT reason, attempts, run_id, failed_at FROM embedding.failures WHERE user_id = $1::UUID
"""

READ_DUE = """
SELECT DISTINCT reason FROM embedding.due WHERE user_id = $1::UUID ORDER BY reason
"""

READ_WORK = """
SELECT run_id, page, remake
FROM embedding.run_users
WHERE user_id = $1::UUID
ORDER BY run_id, page
"""


async def held(connection: Connection, user: UUID) -> Holdings:
    """Read everything there is about a user; at one moment in a transaction that sees but one."""
    return Holdings(
        read_at=await connection.fetchval(READ_TIME),
        vector=one(HeldVector, await connection.fetch(READ_VECTOR, user)),
        offset=one(Offset, await connection.fetch(READ_OFFSET, user)),
        interests=every(Interest, await connection.fetch(READ_INTERESTS, user)),
        shadow=one(Shadow, await connection.fetch(READ_SHADOW, user)),
        copy=await _copied(connection, user),
        exposures=every(Exposure, await connection.fetch(READ_EXPOSURES, user)),
        failure=one(Failure, await connection.fetch(READ_FAILURE, user)),
        due=tuple(row["reason"] for row in await connection.fetch(READ_DUE, user)),
        work=every(Work, await connection.fetch(READ_WORK, user)),
        recorded=await read_recorded(connection, user),
        erasure=await read_erasure(connection, user),
    )


async def _copied(connection: Connection, user: UUID) -> Copied | None:
    if not await connection.fetchval(HAS_COPY):
        return None
    return one(Copied, await connection.fetch(READ_COPY, user))
