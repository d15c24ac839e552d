"""What Redis counts of everybody's reads, also of those that never touch our routes."""

import re

from lib.cache import Cache
from lib.errors import Unavailable
from lib.status.status import Keyspace

SECONDS = 2.0

NAMES = ("keyspace_hits", "keyspace_misses")
NUMBER = re.compile(r"[0-9]{1,18}")
"""What fits 64 bits, which is all that JSON may have."""


async def ask(cache: Cache | None) -> Keyspace:
    """Return what the server has counted, or why that is not known; it never fails."""
    if cache is None:
        return Keyspace("redis is not used: CACHE_MODE is off", None, None)
    try:
        return parse(await cache.statistics(SECONDS))
    except Unavailable as trouble:
        return Keyspace(str(trouble), None, None)


def parse(text: str) -> Keyspace:
    """Read an answer to INFO, `name:value` in each line that counts."""
    values = dict(line.partition(":")[::2] for line in text.splitlines())
    counts = [int(values[name]) for name in NAMES if NUMBER.fullmatch(values.get(name, ""))]
    if len(counts) < len(NAMES):
        expected = " and ".join(NAMES)
        return Keyspace(f"redis: expected {expected} as numbers, got others", None, None)
    hits, misses = counts
    return Keyspace(None, hits, misses)
