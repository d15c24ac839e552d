"""From a slice of users to their stored vectors: read, aggregate, write."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import compress

import numpy as np
from numpy.typing import NDArray

from lib.batch.reading import Reading, read
from lib.batch.services import Services
from lib.embedding import Interests
from lib.errors import EmbeddingError
from lib.store import vectors
from lib.store.actions import Log
from lib.store.database import DATA_ERRORS
from lib.store.pages import Member
from lib.store.results import Outcome, Result

WAIT = timedelta(days=7)
"""So long after an action its post may still be given an embedding. An action dated further than
that in the future is not waited for: nobody knows when it was."""

MICROSECOND = timedelta(microseconds=1)
POSTGRES_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


async def process_batch_user_embeddings(
    services: Services, members: Sequence[Member]
) -> list[Result]:
    """Make and store the vectors of a slice of users; one user's bad data costs that user only.

    So does a user who is deleted between the read and the write. `members` in the order of their
    ids. Raises Unavailable where Postgres is.
    """
    try:
        return await _process(services, members)
    except (*DATA_ERRORS, EmbeddingError):
        return [await generate_user_interest_embedding(services, member) for member in members]


async def generate_user_interest_embedding(services: Services, member: Member) -> Result:
    """Make and store one user's vector; whatever is wrong with the data becomes the result."""
    try:
        [result] = await _process(services, [member])
    except (*DATA_ERRORS, EmbeddingError) as error:
        # the lines after the first quote the row, vector and all
        reason = f"{type(error).__name__}: {str(error).partition('\n')[0]}"
        return Result(member.user, Outcome.FAILED, reason=reason)
    return result


async def _process(services: Services, members: Sequence[Member]) -> list[Result]:
    reading = await read(services, members)
    anew = reading.log.retracted | np.array([member.remake for member in members])
    anew &= reading.log.stored
    minimum = np.where(anew, 1, services.vectors.min_interactions)
    interests = reading.sums.interests(minimum)
    await _write(services, members, reading.log, interests, anew)
    few = interests.posts < minimum
    return list(_results(members, reading, interests, few))


async def _write(
    services: Services,
    members: Sequence[Member],
    log: Log,
    interests: Interests,
    anew: NDArray[np.bool_],
) -> None:
    """Store the vectors made, and remove those of which nothing is left."""
    made, left = interests.made & log.exists, ~interests.made & anew
    users = [member.user for member in members]
    model_version = services.scheme.stored_as(services.vectors.model_version)
    async with services.database.connection() as connection:
        await vectors.upsert(
            connection,
            list(compress(users, made)),
            interests.vectors[made],
            model_version,
            log.read_at,
        )
        await vectors.remove(connection, list(compress(users, left)), log.read_at)


def _results(
    members: Sequence[Member], reading: Reading, interests: Interests, few: NDArray[np.bool_]
) -> Iterator[Result]:
    log, histories = reading.log, reading.log.histories
    unusable = histories.count_by_user(~reading.usable[histories.places])
    read_at = (log.read_at - POSTGRES_EPOCH) // MICROSECOND
    recent = np.abs(histories.acted_at - read_at) < WAIT // MICROSECOND
    pending = ~reading.embedded & ~reading.lost
    waiting = histories.count_by_user(pending[histories.places] & recent)
    for place, member in enumerate(members):
        if not log.exists[place]:
            yield Result(member.user, Outcome.GONE)
            continue
        if interests.made[place]:
            outcome = Outcome.PROCESSED
        else:
            outcome = Outcome.FEW_POSTS if few[place] else Outcome.CANCELLED_OUT
        yield Result(
            member.user,
            outcome,
            posts=int(interests.posts[place]),
            actions=int(log.actions[place]),
            weight=float(interests.weights[place]),
            unknown_actions=int(log.unknown[place]),
            unusable_posts=int(unusable[place]),
            waiting=bool(waiting[place]),
        )
