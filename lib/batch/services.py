"""What a batch works with: its settings and the ways to Postgres, Redis and QStash."""

import asyncio
from dataclasses import dataclass, field
from typing import Self
from uuid import UUID

from lib.batch.phases import Figures, Spans, no_figures, no_span
from lib.cache import Cache
from lib.embedding import BASELINE, DIMENSIONS, Scheme
from lib.embedding.schemes import find_scheme
from lib.embedding.warm import WarmVectors
from lib.errors import EmbeddingError, SettingError
from lib.experiment.assignment import Experiment
from lib.qstash.queue import Queue
from lib.settings import (
    CacheMode,
    CacheSettings,
    DatabaseSettings,
    Environ,
    QueueSettings,
    RunSettings,
    VectorSettings,
)
from lib.store.database import Database

WARM_BYTES = 80_000_000
"""What post vectors may take in a warm instance: some 52,000 of them."""


def _warm_vectors() -> WarmVectors:
    return WarmVectors(WARM_BYTES // (4 * DIMENSIONS), DIMENSIONS)


@dataclass(frozen=True)
class Services:
    """Made once a process, from the environment; connects to nothing before it is used.

    `cache` is None with CacheMode.OFF. Whoever works with `warm` holds `warm_turn`. `figures`: what
    no run has been credited with yet. `spans` opens a span of a trace, where somebody traces.
    """

    database: Database
    cache: Cache | None
    cache_mode: CacheMode
    queue: Queue
    vectors: VectorSettings
    runs: RunSettings
    scheme: Scheme = BASELINE
    shadow: Scheme | None = None
    experiment: Experiment | None = None
    warm: WarmVectors = field(default_factory=_warm_vectors)
    warm_turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    figures: Figures = field(default_factory=no_figures)
    spans: Spans = no_span

    @classmethod
    def load(cls, environ: Environ) -> Self:
        """Read every setting that a batch needs; raise SettingError."""
        caching = CacheSettings.load(environ)
        vectors = VectorSettings.load(environ)
        return cls(
            Database(DatabaseSettings.load(environ)),
            Cache(caching.redis) if caching.redis else None,
            caching.mode,
            Queue(QueueSettings.load(environ)),
            vectors,
            RunSettings.load(environ),
            _scheme("EMBEDDING_SCHEME", vectors.scheme),
            _scheme("EMBEDDING_SHADOW", vectors.shadow) if vectors.shadow else None,
            _experiment(vectors.experiment) if vectors.experiment else None,
        )

    @property
    def schemes(self) -> tuple[Scheme, ...]:
        """The schemes that live vectors are made by: one, or those of the experiment's arms."""
        if self.experiment is None:
            return (self.scheme,)
        return tuple(find_scheme(arm.scheme) for arm in self.experiment.arms)

    def scheme_of(self, user: UUID) -> Scheme:
        """Return the scheme that the user's vector is made by."""
        return find_scheme(self.experiment.arm_of(user)) if self.experiment else self.scheme

    async def close(self) -> None:
        """Let go of every connection."""
        if self.cache:
            await self.cache.close()
        await self.queue.close()
        await self.database.close()


def _scheme(variable: str, text: str) -> Scheme:
    try:
        return find_scheme(text)
    except EmbeddingError as error:
        raise SettingError(f"{variable}: {error}") from None


def _experiment(text: str) -> Experiment:
    try:
        experiment = Experiment.parse(text)
    except EmbeddingError as error:
        raise SettingError(f"EMBEDDING_EXPERIMENT: {error}") from None
    schemes = [_scheme("EMBEDDING_EXPERIMENT", arm.scheme) for arm in experiment.arms]
    if len(set(map(id, schemes))) < len(schemes):
        raise SettingError("EMBEDDING_EXPERIMENT: expected a scheme of its own for each arm")
    return experiment
