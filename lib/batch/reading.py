"""What the database says of a slice of users at one moment, and the vectors that come of it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from lib.batch.mean import FETCH, current_mean
from lib.batch.phases import Phase, phase
from lib.batch.services import Services
from lib.embedding import Histories, PostVectors, Scheme, UserVectors, aggregate
from lib.embedding.warm import NEVER
from lib.store import actions, posts
from lib.store.actions import Log
from lib.store.database import Connection
from lib.store.means import Mean
from lib.store.pages import Member
from lib.store.vectors import NewVectors


@dataclass(frozen=True)
class Reading:
    """A slice's log and the vectors made of it, in the order of the `users`.

    `model_version`: as what they are stored. `mean`: what was taken off, if the scheme is centred.
    `anew`: (n,) whose vector is made of however little is left; `minimum`: (n,) how many posts each
    user's takes. Of the log's distinct posts, (p,) each: `embedded`, which have an embedding;
    `usable`, which have one that counts; `lost`, which are no posts any more.
    """

    users: list[UUID]
    log: Log
    model_version: str
    mean: Mean | None
    anew: NDArray[np.bool_]
    minimum: NDArray[np.int64]
    made: UserVectors
    embedded: NDArray[np.bool_]
    usable: NDArray[np.bool_]
    lost: NDArray[np.bool_]

    def new_vectors(self) -> NewVectors:
        """Return those vectors that were made of users who exist."""
        made = self.made.made & self.log.exists
        return NewVectors(
            list(compress(self.users, made)),
            self.made.vectors[made],
            self.model_version,
            self.log.read_at,
            list(compress(self.log.erased, made)),
        )


async def read(services: Services, scheme: Scheme, members: Sequence[Member]) -> Reading | None:
    """Read in one snapshot all that the users' vectors are made of, and make them.

    None where they have more posts among them than there is room for: fewer must go together.
    Raises Unavailable, and EmbeddingError where a sum is not finite.
    """
    settings = services.vectors
    model, users = settings.model_version, [member.user for member in members]
    mean = await current_mean(services.database, model) if scheme.centred else None
    async with (
        services.database.connection() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        log = await actions.read_log(
            connection, users, settings.lookback, scheme, settings.max_posts
        )
        histories = log.histories
        wanted = histories.distinct_posts
        if len(wanted) > services.warm.capacity and len(members) > 1:
            return None
        anew = log.retracted | log.opted_out | np.array([member.remake for member in members])
        anew &= log.stored
        minimum = np.where(anew, 1, max(settings.min_interactions, scheme.minimum))
        async with services.warm_turn:
            post_vectors = await _read_posts(connection, services, histories)
            taken_off = mean.vector if mean else None
            with phase(Phase.AGGREGATE):
                made = await asyncio.to_thread(
                    aggregate, histories, post_vectors, scheme, minimum, taken_off
                )
        embedded = post_vectors.rows >= 0
        lost = np.zeros(len(wanted), dtype=np.bool_)
        if not embedded.all():
            lost[~embedded] = ~await posts.existing(connection, wanted[~embedded])
    return Reading(
        users,
        log,
        scheme.stored_as(model, mean.id if mean else None),
        mean,
        anew,
        minimum,
        made,
        embedded,
        post_vectors.sizes > 0,
        lost,
    )


async def _read_posts(
    connection: Connection, services: Services, histories: Histories
) -> PostVectors:
    """Find the posts' vectors among the warm ones, reading those that are not there.

    Row -1 is that of a post without an embedding.
    """
    warm, model = services.warm, services.vectors.model_version
    wanted = histories.distinct_posts
    versions = await posts.read_versions(connection, wanted, model)
    rows = warm.find(wanted, versions)
    missing = np.flatnonzero((rows < 0) & (versions != NEVER))
    for first in range(0, len(missing), FETCH):
        chunk = missing[first : first + FETCH]
        vectors, found = await posts.read_embeddings(connection, wanted[chunk], model)
        present = chunk[found]
        rows[present] = warm.keep(wanted[present], versions[present], vectors[found])
    return PostVectors(rows, warm.vectors, np.where(rows >= 0, warm.sizes[rows], 0.0))
