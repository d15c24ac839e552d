"""The targets of `make bench`."""

import math
from collections.abc import Iterator

from bench.findings import LARGE, USUAL, Findings
from bench.target import Target, most, times
from lib.embedding import BASELINE

REQUEST_BYTES = 1_000_000
SPEED = 6000
SCHEME_TIMES = 1.3
INTERESTS_TIMES = 2.0


def targets(findings: Findings) -> Iterator[Target]:
    """Yield every target that one run of the bench can tell of."""
    plain = findings.plain
    for size in (USUAL, LARGE):
        yield times(
            f"against the loop, without Redis, PAGE_SIZE {size}",
            15,
            plain.loop.median / plain.pages[size].median,
        )
    for standing, wanted in zip(findings.served, (12, 40, 80), strict=True):
        yield times(
            f"{1000 * standing.round_trip:g} ms away: the same with Redis, PAGE_SIZE {LARGE}",
            wanted,
            standing.loop.median / standing.pages[LARGE].median,
        )
    if plain.floor:
        found = plain.pages[USUAL].median / plain.floor.median
        yield most(f"against the floor, PAGE_SIZE {USUAL}, times", 1.5, found, 2)
    for size in (USUAL, LARGE):
        speed = 1000 / plain.pages[size].median
        what = f"users a second, one process, before Redis, PAGE_SIZE {size}"
        yield Target(what, f"{SPEED:,}", f"{speed:,.0f}", speed >= SPEED)
    for name, price in findings.prices.items():
        if price.scheme != BASELINE:
            limit = INTERESTS_TIMES if price.scheme.interests else SCHEME_TIMES
            yield most(f"{name}, times `baseline@1`", limit, price.times.median, 2)
    yield most("memory of the function, MB", 200, findings.whole.memory, 0)
    pooled = findings.traffic[0]
    yield most("round trips to Postgres a slice", 12, pooled.per_slice, 0)
    needed = math.ceil(pooled.redis_bytes / REQUEST_BYTES)
    yield most("requests to Redis a slice", needed, pooled.redis_requests, 0)
    yield most("messages to QStash a page", 1, pooled.publishes, 0)
    imports = findings.imports.function / findings.imports.others
    yield most("import time, of what others' modules take alone", 1.2, imports, 2)
