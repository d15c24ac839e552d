"""A slice's vectors into Postgres, each with what its scheme keeps beside it."""

from collections.abc import Mapping
from itertools import compress
from uuid import UUID

import numpy as np

from lib.batch.reading import Reading
from lib.batch.services import Services
from lib.embedding import Scheme
from lib.store import experiments, interests, vectors
from lib.store.database import Connection
from lib.store.vectors import Written


async def write(services: Services, scheme: Scheme, reading: Reading) -> Mapping[UUID, float]:
    """Store the vectors made, and remove those of which nothing is left.

    A user's vector, offset, interests and exposure are written together or not at all. Returns the
    drift of some users: 1 - cosine of the new vector and the one of the same model_version that it
    took the place of, from 0 to 2.
    """
    left = ~reading.made.made & reading.anew
    async with services.database.connection() as connection:
        if scheme.centred or scheme.interests or services.experiment:
            async with connection.transaction():
                written = await _write_all(connection, services, scheme, reading)
        else:
            written = await vectors.upsert(connection, reading.new_vectors())
        await vectors.remove(connection, list(compress(reading.users, left)), reading.log.read_at)
    return _drift(reading, written)


def _drift(reading: Reading, written: Written) -> Mapping[UUID, float]:
    made = {
        user: reading.made.vectors[place]
        for place, user in enumerate(reading.users)
        if user in written.former
    }
    # both have length 1, to float32's precision
    return {
        user: max(0.0, 1.0 - float(made[user].astype(np.float64) @ former))
        for user, former in written.former.items()
        if np.isfinite(former).all()
    }


async def _write_all(
    connection: Connection, services: Services, scheme: Scheme, reading: Reading
) -> Written:
    known = await vectors.upsert(connection, reading.new_vectors())
    written = np.array([user in known.users for user in reading.users], dtype=np.bool_)
    users = list(compress(reading.users, written))
    if reading.mean:
        centres = reading.made.centres[written]
        await interests.write_offsets(connection, users, reading.mean.id, centres)
    if reading.made.interests:
        await interests.replace_interests(
            connection, reading.users, written, reading.made.interests
        )
    if services.experiment:
        name, since = services.experiment.name, reading.log.read_at
        await experiments.record(connection, name, users, scheme.label, since)
    return known
