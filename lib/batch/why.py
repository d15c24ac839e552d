"""Why a user's stored vector is what it is, from what the log says of the time it was made."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from lib.batch.mean import FETCH
from lib.embedding import BASELINE, DIMENSIONS, PostVectors, calculate_similarity
from lib.embedding.aggregate import lengths, weigh
from lib.embedding.label import Label
from lib.embedding.schemes import find_scheme
from lib.embedding.why import Contribution, explain
from lib.errors import EmbeddingError
from lib.settings import VectorSettings
from lib.store import actions, means, posts
from lib.store.database import Connection, Database
from lib.store.evidence import count_actions, read_labelled

CHANGED = 0.999
"""With a lower similarity the log, the posts or the settings are not what they were."""


@dataclass(frozen=True)
class Reason:
    """A post's contribution, and how many actions of which type the user took on it."""

    contribution: Contribution
    actions: Mapping[str, int]


@dataclass(frozen=True)
class Why:
    """The reasons for a stored vector, strongest first, of so many `posts` that contributed.

    `similarity`: of what the log, as of `generated_at`, comes to today to what is stored.
    """

    model_version: str
    generated_at: datetime
    similarity: float
    posts: int
    reasons: tuple[Reason, ...]

    @property
    def changed(self) -> bool:
        """Whether what is stored is not what would be made of the same time today."""
        return self.similarity < CHANGED


async def why(database: Database, settings: VectorSettings, user: UUID) -> Why | None:
    """Explain the vector that the user has; None without one.

    Raises Unavailable, and EmbeddingError where the vector names a scheme or a mean that is not
    known, or where nothing is left of what it was made of.
    """
    async with (
        database.connection() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        stored = await read_labelled(connection, user)
        if stored is None:
            return None
        as_of, label = stored.generated_at, Label.parse(stored.model_version)
        scheme = find_scheme(label.scheme) if label.scheme else BASELINE
        mean = await _read_mean(connection, label)
        log = await actions.read_log(
            connection, [user], settings.lookback, scheme, settings.max_posts, as_of=as_of
        )
        vectors = await _read_posts(connection, log.histories.distinct_posts, label.model)
        weights = weigh(log.histories, vectors.sizes, scheme)
        read_at = actions.microseconds(as_of)
        found = explain(log.histories, weights, vectors, mean, read_at)
        counts = await count_actions(
            connection, user, [one.post for one in found.contributions], as_of, settings.lookback
        )
    return Why(
        stored.model_version,
        as_of,
        calculate_similarity(found.vector, stored.embedding),
        found.posts,
        tuple(Reason(one, counts[one.post]) for one in found.contributions),
    )


async def _read_mean(connection: Connection, label: Label) -> NDArray[np.float64] | None:
    if label.mean is None:
        return None
    mean = await means.numbered(connection, label.mean)
    if mean is None:
        raise EmbeddingError(f"expected the mean {label.mean}, which the vector names, got none")
    return mean.vector


async def _read_posts(connection: Connection, wanted: NDArray[np.void], model: str) -> PostVectors:
    """Read the embeddings of distinct posts, (p,) of V16, FETCH at a time."""
    vectors = np.zeros((len(wanted), DIMENSIONS), dtype=np.float32)
    for first in range(0, len(wanted), FETCH):
        chunk = slice(first, first + FETCH)
        vectors[chunk], _ = await posts.read_embeddings(connection, wanted[chunk], model)
    return PostVectors(np.arange(len(wanted)), vectors, lengths(vectors))
