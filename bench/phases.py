"""Where a page's time goes: to Postgres, by statement, to Redis, to QStash, to the rest."""

import asyncio
import importlib
import pkgutil
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import lib.store
from bench.page import cost, plan, sized, work
from bench.platform import Platform
from bench.tape import Call, Move, TapedDatabase, taping
from lib.batch import Services
from lib.settings import DatabaseSettings

if TYPE_CHECKING:
    from lib.cache import Cache
    from lib.qstash.queue import Queue

REST = "Python in the event loop"


PARTS = {
    "READ_LOG": "read actions",
    "Histories.unpack": "read actions",
    "READ_VERSIONS": "read posts",
    "READ_EMBEDDINGS": "read posts",
    "EXISTING_POSTS": "read posts",
    "aggregate": "aggregate",
    "UPSERT": "upsert",
    "_pipelines": "encode",
    "Redis": "Redis",
    "READ_STORED": "Redis",
    "READ_GENERATED": "Redis",
}
"""Which part of a page's work a thing belongs to; all others are about pages and runs."""


@dataclass(frozen=True)
class Span:
    """Something that was under way from one time to another (s)."""

    name: str
    begun: float
    ended: float


class Clocked:
    """Passes calls on to an object and notes how long each was awaited."""

    def __init__(self, thing: Any, name: str, spans: list[Span]) -> None:
        self._thing = thing
        self._name = name
        self._spans = spans

    def __getattr__(self, attribute: str) -> Any:
        method = getattr(self._thing, attribute)

        async def clocked(*arguments: Any, **keywords: Any) -> Any:
            begun = time.perf_counter()
            answer = await method(*arguments, **keywords)
            self._spans.append(Span(self._name, begun, time.perf_counter()))
            return answer

        return clocked


class ClockedThreads(ThreadPoolExecutor):
    """Threads that note how long each function took that `asyncio.to_thread` gave them."""

    def __init__(self, spans: list[Span]) -> None:
        super().__init__()
        self._spans = spans

    def submit(self, call: Callable[..., Any], /, *given: Any, **keywords: Any) -> Future[Any]:
        # to_thread wraps the function: partial(context.run, function, ...)
        function = call.args[0] if hasattr(call, "args") else call

        def clocked() -> Any:
            begun = time.perf_counter()
            try:
                return call(*given, **keywords)
            finally:
                ended = time.perf_counter()
                self._spans.append(Span(function.__qualname__, begun, ended))

        return super().submit(clocked)


async def phases(
    platform: Platform, services: Services, settings: DatabaseSettings, page_size: int, users: int
) -> dict[str, float]:
    """Work off warm pages, with Redis and a clock on all they wait for; return ms a user by name.

    What is under way side by side counts for each. REST is the time in which nothing is.
    """
    spans: list[Span] = []
    database = TapedDatabase(settings)
    services = replace(
        sized(services, page_size),
        database=database,
        cache=services.cache and cast("Cache", Clocked(services.cache, "Redis", spans)),
        queue=cast("Queue", Clocked(services.queue, "QStash", spans)),
    )
    threads = ClockedThreads(spans)
    asyncio.get_running_loop().set_default_executor(threads)
    try:
        await cost(services, platform, users)
        run = await plan(services, platform)
        spans.clear()
        seconds, done = 0.0, 0
        with taping(database) as calls:
            for number in range(-(-users // page_size)):
                taken, members = await work(services, run, number)
                seconds, done = seconds + taken, done + members
    finally:
        await database.close()
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor())
        threads.shutdown()
    names = statements()
    spans += [Span(_name(call, names), call.begun, call.ended) for call in calls]
    found: dict[str, float] = defaultdict(float)
    for span in sorted(spans, key=lambda span: span.begun):
        found[span.name] += 1000 * (span.ended - span.begun) / done
    found["Redis"] -= found["_pipelines"]  # which is done on the way there
    found[REST] = 1000 * (seconds - covered(spans)) / done
    return dict(found)


def covered(spans: Iterable[Span]) -> float:
    """Return how long anything was under way (s)."""
    total, until = 0.0, 0.0
    for span in sorted(spans, key=lambda span: span.begun):
        total += max(0.0, span.ended - max(span.begun, until))
        until = max(until, span.ended)
    return total


def statements() -> Mapping[str, str]:
    """Return the name of every SQL constant of `lib.store`, by its text."""
    modules = [
        importlib.import_module(f"lib.store.{module.name}")
        for module in pkgutil.iter_modules(lib.store.__path__)
    ]
    return {
        text: name
        for module in modules
        for name, text in vars(module).items()
        if name.isupper() and isinstance(text, str)
    }


def _name(call: Call, names: Mapping[str, str]) -> str:
    if call.statement is not None:
        return names.get(call.statement, " ".join(call.statement.split())[:40])
    if call.what in (Move.ACQUIRE, Move.RELEASE):
        return "the pool"
    return "BEGIN and COMMIT" if isinstance(call.what, Move) else call.what
