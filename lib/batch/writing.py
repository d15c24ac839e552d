"""A slice's vectors into Postgres, each with what its scheme keeps beside it."""

from itertools import compress

import numpy as np

from lib.batch.reading import Reading
from lib.batch.services import Services
from lib.embedding import Scheme
from lib.store import experiments, interests, vectors
from lib.store.database import Connection


async def write(services: Services, scheme: Scheme, reading: Reading) -> None:
    """Store the vectors made, and remove those of which nothing is left.

    A user's vector, offset, interests and exposure are written together or not at all.
    """
    left = ~reading.made.made & reading.anew
    async with services.database.connection() as connection:
        if scheme.centred or scheme.interests or services.experiment:
            async with connection.transaction():
                await _write_all(connection, services, scheme, reading)
        else:
            await vectors.upsert(connection, reading.new_vectors())
        await vectors.remove(connection, list(compress(reading.users, left)), reading.log.read_at)


async def _write_all(
    connection: Connection, services: Services, scheme: Scheme, reading: Reading
) -> None:
    known = await vectors.upsert(connection, reading.new_vectors())
    written = np.array([user in known for user in reading.users], dtype=np.bool_)
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
