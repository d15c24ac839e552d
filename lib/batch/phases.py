"""Where a page's time goes: each phase is timed, and is a span where somebody traces."""

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

type Attributes = Mapping[str, str | int]
type Figures = defaultdict[str, float]


def no_figures() -> Figures:
    """Return sums of nothing yet, by name."""
    return defaultdict(float)


class Spans(Protocol):
    """Opens a span of a trace, inside the one that is open."""

    def __call__(
        self, name: str, /, *, attributes: Attributes | None = None
    ) -> AbstractContextManager[object]: ...


def no_span(_: str, /, *, attributes: Attributes | None = None) -> AbstractContextManager[object]:  # noqa: ARG001  # as Spans has it
    """Open nothing: nobody traces."""
    return nullcontext()


class Phase(StrEnum):
    """What a page does."""

    READ = "read"
    AGGREGATE = "aggregate"
    WRITE = "write"
    PUBLISH = "publish"
    CACHE = "cache"


@dataclass(frozen=True)
class Watch:
    """What runs: `page` and `figures` get the seconds of each phase."""

    page: Figures
    figures: Figures
    spans: Spans


# Who times is known to what runs inside, in tasks as well, and to nobody else.
_watch: ContextVar[Watch | None] = ContextVar("watch", default=None)
_inner: ContextVar[list[float] | None] = ContextVar("inner", default=None)


@contextmanager
def timed(watch: Watch) -> Iterator[None]:
    """Time the phases of what runs inside."""
    token = _watch.set(watch)
    try:
        yield
    finally:
        _watch.reset(token)


@contextmanager
def phase(name: Phase) -> Iterator[None]:
    """Time a phase, without what other phases take inside it; nothing where nobody times."""
    watch = _watch.get()
    if watch is None:
        yield
        return
    outer, inner = _inner.get(), [0.0]
    token, begun = _inner.set(inner), time.perf_counter()
    try:
        with watch.spans(name):
            yield
    finally:
        _inner.reset(token)
        took = time.perf_counter() - begun
        watch.page[name] += took - inner[0]
        watch.figures[f"seconds {name}"] += took - inner[0]
        if outer is not None:
            outer[0] += took
