"""From a slice of users to their stored vectors: read, aggregate, write."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from uuid import UUID

import numpy as np

from lib.batch.phases import Phase, phase
from lib.batch.reading import Reading, read
from lib.batch.services import Services
from lib.batch.shadow import cast_shadow
from lib.batch.writing import write
from lib.embedding import Scheme
from lib.errors import EmbeddingError
from lib.store.actions import MICROSECOND, microseconds
from lib.store.database import DATA_ERRORS
from lib.store.pages import Member
from lib.store.results import Outcome, Result

WAIT = timedelta(days=7)
"""So long after an action its post may still be given an embedding. An action dated further than
that in the future is not waited for: nobody knows when it was."""


async def process_batch_user_embeddings(
    services: Services, members: Sequence[Member]
) -> list[Result]:
    """Make and store the vectors of a slice of users; one user's bad data costs that user only.

    So does a user who is deleted between the read and the write. `members` in the order of their
    ids. Raises Unavailable where Postgres is.
    """
    results: list[Result] = []
    for scheme in services.schemes:
        group = [member for member in members if services.scheme_of(member.user) == scheme]
        if group:
            results += await _together(services, scheme, group)
    if services.shadow:
        await cast_shadow(services, services.shadow, members)
    return results


async def generate_user_interest_embedding(services: Services, member: Member) -> Result:
    """Make and store one user's vector; whatever is wrong with the data becomes the result."""
    return await _alone(services, services.scheme_of(member.user), member)


async def _together(services: Services, scheme: Scheme, members: Sequence[Member]) -> list[Result]:
    try:
        return await _process(services, scheme, members)
    except (*DATA_ERRORS, EmbeddingError):
        return [await _alone(services, scheme, member) for member in members]


async def _alone(services: Services, scheme: Scheme, member: Member) -> Result:
    try:
        [result] = await _process(services, scheme, [member])
    except (*DATA_ERRORS, EmbeddingError) as error:
        # the lines after the first quote the row, vector and all
        reason = f"{type(error).__name__}: {str(error).partition('\n')[0]}"
        return Result(member.user, Outcome.FAILED, reason=reason)
    return result


async def _process(services: Services, scheme: Scheme, members: Sequence[Member]) -> list[Result]:
    with phase(Phase.READ):
        reading = await read(services, scheme, members)
    if reading is None:
        middle = len(members) // 2
        return [
            *await _process(services, scheme, members[:middle]),
            *await _process(services, scheme, members[middle:]),
        ]
    with phase(Phase.WRITE):
        drift = await write(services, scheme, reading)
    return list(_results(reading, drift))


def _results(reading: Reading, drift: Mapping[UUID, float]) -> Iterator[Result]:
    log, made, histories = reading.log, reading.made, reading.log.histories
    unusable = histories.count_by_user(~reading.usable[histories.places])
    recent = np.abs(histories.acted_at - microseconds(log.read_at)) < WAIT // MICROSECOND
    pending = ~reading.embedded & ~reading.lost
    waiting = histories.count_by_user(pending[histories.places] & recent)
    for place, user in enumerate(reading.users):
        if not log.exists[place]:
            yield Result(user, Outcome.GONE)
            continue
        if made.made[place]:
            outcome = Outcome.PROCESSED
        elif log.opted_out[place]:
            outcome = Outcome.OPTED_OUT
        elif made.posts[place] < reading.minimum[place]:
            outcome = Outcome.FEW_POSTS
        else:
            outcome = Outcome.CANCELLED_OUT
        yield Result(
            user,
            outcome,
            model_version=reading.model_version,
            posts=int(made.posts[place]),
            actions=int(log.actions[place]),
            weight=float(made.weights[place]),
            unknown_actions=int(log.unknown[place]),
            unusable_posts=int(unusable[place]),
            waiting=bool(waiting[place]),
            drift=drift.get(user),
        )
