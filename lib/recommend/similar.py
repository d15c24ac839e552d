"""Users whose vectors lie near, and what two users have in common."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from lib.embedding import BASELINE, Histories, calculate_similarity
from lib.embedding.label import Label
from lib.errors import EmbeddingError, Missing
from lib.recommend.services import Readers
from lib.settings import VectorSettings
from lib.store import actions, neighbours, posts
from lib.store.database import Connection
from lib.store.neighbours import Neighbour
from lib.store.standings import Held, Standing, read_standing

SHOWN = 10


@dataclass(frozen=True)
class SimilarUser:
    """A user, the cosine to the one who was asked about, from -1 to 1, and what both acted on.

    `shared`: how many posts; `posts`: up to SHOWN of them, those that both did most with first.
    """

    user: UUID
    similarity: float
    shared: int
    posts: tuple[UUID, ...]


@dataclass(frozen=True)
class SimilarUsers:
    """The nearest users, the very nearest first, of those whose `model_version` is the same."""

    user: UUID
    model_version: str
    users: tuple[SimilarUser, ...]


async def find_similar_users(readers: Readers, user: UUID, limit: int = 10) -> SimilarUsers:
    """Find the nearest users; raise Missing for who has no vector, and Unavailable.

    By looking at all, unless there is an indexed copy and it finds as many as are asked for.
    """
    async with (
        readers.database.connection() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        held = _held(await read_standing(connection, user))
        near: Sequence[Neighbour] = ()
        if await neighbours.copied(connection):
            near = await neighbours.nearest_copied(connection, user, limit)
        if len(near) < limit:
            near = await neighbours.nearest(connection, user, limit)
        shared = await _shared(connection, user, near, readers.vectors)
    return SimilarUsers(
        user,
        held.model_version,
        tuple(
            SimilarUser(
                one.user,
                one.similarity,
                len(both),
                tuple(UUID(bytes=post.tobytes()) for post in both[:SHOWN]),
            )
            for one, both in zip(near, shared, strict=True)
        ),
    )


@dataclass(frozen=True)
class Comparison:
    """The cosine of two users' vectors, from -1 to 1; None, and the reason, if it means nothing."""

    similarity: float | None
    reason: str | None


async def compare_users(readers: Readers, user: UUID, other: UUID) -> Comparison:
    """Compare two users; raise Missing if either has no vector, and Unavailable."""
    async with (
        readers.database.connection() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        left = _held(await read_standing(connection, user), "id: ")
        right = _held(await read_standing(connection, other), "other: ")
    reason = _incomparable(Label.parse(left.model_version), Label.parse(right.model_version))
    if reason:
        return Comparison(None, reason)
    try:
        return Comparison(calculate_similarity(left.embedding, right.embedding), None)
    except EmbeddingError as error:
        return Comparison(None, str(error))


def _held(standing: Standing, whose: str = "") -> Held:
    if standing.vector is None:
        raise Missing(whose + standing.reason)
    return standing.vector


def _incomparable(left: Label, right: Label) -> str | None:
    if left.model != right.model:
        return "different models"
    if left.scheme != right.scheme:
        return "different schemes"
    return "different means" if left.mean != right.mean else None


async def _shared(
    connection: Connection, user: UUID, near: Sequence[Neighbour], settings: VectorSettings
) -> list[NDArray[np.void]]:
    """Return the posts that each of the others acted on positively, as the user did: (s,) of V16.

    Within the lookback, of the strongest MAX_POSTS_PER_USER of each, nothing taken back or erased.
    """
    if not near:
        return []
    everybody = [user, *(one.user for one in near)]
    log = await actions.read_log(
        connection, everybody, settings.lookback, BASELINE, settings.max_posts
    )
    histories = log.histories
    own = histories.distinct_posts[histories.places[: histories.offsets[1]]]
    return in_common(histories, await posts.existing(connection, own))


def in_common(histories: Histories, counted: NDArray[np.bool_]) -> list[NDArray[np.void]]:
    """Return which of the first user's posts each other user has, (s,) of V16 each.

    `counted`: (o,) which of them count. The post first of which the lesser of the two users'
    weights is greatest, then by id.
    """
    first = slice(*histories.offsets[:2])
    weights = np.zeros(len(histories.distinct_posts))
    weights[histories.places[first]] = np.where(counted, histories.weights[first], 0.0)
    found = []
    for start, end in pairwise(histories.offsets[1:]):
        places = histories.places[start:end]
        lesser = np.minimum(weights[places], histories.weights[start:end])
        order = np.lexsort((places, -lesser))
        found.append(histories.distinct_posts[places[order[lesser[order] > 0]]])
    return found
