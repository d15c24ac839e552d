"""What the database says of a slice of users at one moment, summed as it is read."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lib.batch.services import Services
from lib.embedding import DIMENSIONS, Histories, Sums
from lib.embedding.warm import NEVER
from lib.store import actions, posts
from lib.store.actions import Log
from lib.store.database import Connection
from lib.store.pages import Member

FETCH = 2048
"""So many vectors are asked for at a time: 3 MB."""


@dataclass(frozen=True)
class Reading:
    """A slice's log and the sums of its posts' vectors.

    Of the log's distinct posts, (p,) each: `embedded`, which have an embedding; `usable`, which
    have one that counts; `lost`, which are no posts any more.
    """

    log: Log
    sums: Sums
    embedded: NDArray[np.bool_]
    usable: NDArray[np.bool_]
    lost: NDArray[np.bool_]


async def read(services: Services, members: Sequence[Member]) -> Reading:
    """Read all that the users' vectors are made of, in one snapshot; raise Unavailable."""
    settings = services.vectors
    async with (
        services.database.connection() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        log = await actions.read_log(
            connection,
            [member.user for member in members],
            settings.lookback,
            services.scheme,
            settings.max_posts,
        )
        wanted = log.histories.distinct_posts
        sums = Sums(len(members), DIMENSIONS)
        embedded = np.zeros(len(wanted), dtype=np.bool_)
        usable = np.zeros(len(wanted), dtype=np.bool_)
        room = services.warm.capacity
        for start in range(0, len(wanted), room):
            block = slice(start, start + room)
            async with services.warm_turn:
                sizes, there = await _add(connection, services, sums, log.histories, block)
            embedded[block], usable[block] = there, sizes > 0
        lost = np.zeros(len(wanted), dtype=np.bool_)
        if not embedded.all():
            lost[~embedded] = ~await posts.existing(connection, wanted[~embedded])
    return Reading(log, sums, embedded, usable, lost)


async def _add(
    connection: Connection,
    services: Services,
    sums: Sums,
    histories: Histories,
    block: slice,
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Add a block of the distinct posts, reading the vectors that are not warm.

    Returns the vectors' lengths, 0 for one that does not count, and which posts have one.
    """
    warm, model = services.warm, services.vectors.model_version
    wanted = histories.distinct_posts[block]
    versions = await posts.read_versions(connection, wanted, model)
    rows = warm.find(wanted, versions)
    missing = np.flatnonzero((rows < 0) & (versions != NEVER))
    for first in range(0, len(missing), FETCH):
        chunk = missing[first : first + FETCH]
        vectors, found = await posts.read_embeddings(connection, wanted[chunk], model)
        present = chunk[found]
        rows[present] = warm.keep(wanted[present], versions[present], vectors[found])
    embedded = rows >= 0
    sizes = np.where(embedded, warm.sizes[rows], 0.0)
    await asyncio.to_thread(sums.add, histories, block.start, rows, warm.vectors, sizes)
    return sizes, embedded
