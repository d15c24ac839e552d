"""What one run takes, in messages, commands, rows and bytes. Arithmetic only."""

import math
from collections import Counter
from dataclasses import dataclass

from lib.batch.page import slice_size
from lib.cache import PIPELINE_BYTES
from lib.settings import CacheMode

# Bytes on the wire as of 24 November 2026, counted in front of Postgres and at the stand-in for
# Upstash on runs of 4,000 users with 20 and with 100 actions. Headers of HTTP and TLS are not in.
SET_BYTES = 4_770  # one SET in a pipeline's body; 4,690 of them are the 384 numbers as JSON
DEL_BYTES = 55  # one key of a DEL
CONTRIBUTION_BYTES = 32  # what one user did once: the post's id, the weight and the time
POST_BYTES = 1_587  # the row of a post's vector; 1,544 of them are the vector
POST_CHECK_BYTES = 24  # what says that a post has not changed
POST_ID_BYTES = 33  # one post asked for: once, and once more if its vector is not there
COPY_BYTES = 1_620  # a user's vector read back for Redis, and its time once more
USER_OUT_BYTES = 120  # the rest of what Postgres says of a user
SLICE_IN_BYTES = 14_000  # the statements of a slice, which a pooled connection spells out each time
VECTOR_IN_BYTES = 1_640  # a vector written
USER_IN_BYTES = 150  # the rest: the id four times, the outcome, the model_version

# Round trips to Postgres, BEGIN and COMMIT counted.
TRIPS_A_SLICE = 11
TRIPS_A_PAGE = 3


@dataclass(frozen=True)
class Load:
    """One run: `users` active, each of whom acted `actions` times within the lookback.

    The actions fall evenly on `posts`. `skipped`: the users who get no vector. `cache` as
    CACHE_MODE has it.
    """

    users: int
    page_size: int = 500
    actions: float = 100
    posts: int = 50_000
    skipped: int = 0
    cache: CacheMode = CacheMode.WRITE


@dataclass(frozen=True)
class Counts:
    """What one run takes if nothing fails.

    `messages`: the start and every page. `redis_commands`: one by one, as they are billed;
    `redis_requests`: what they go in; `redis_stored`: bytes of keys and values. Bytes out of
    Postgres: `cold_bytes` when every slice reads the vectors of all its posts, `warm_bytes` when it
    has them already and only checks them. `in_bytes`: into Postgres.
    """

    users: int
    pages: int
    slices: int
    messages: int
    redis_commands: int
    redis_requests: int
    redis_bytes: int
    redis_stored: int
    round_trips: int
    rows_read: int
    rows_written: int
    cold_bytes: int
    warm_bytes: int
    in_bytes: int


def counts(load: Load) -> Counts:
    """Return what a run of this load takes.

    Pages, messages, SETs and rows of vectors are exact; the rest are estimates, within a tenth.
    """
    slices = _slices(load)
    number = sum(slices.values())
    pages = math.ceil(load.users / load.page_size)
    vectors = load.users - load.skipped
    copied = vectors if load.cache is CacheMode.WRITE else 0
    asked = sum(_distinct(size * load.actions, load.posts) * n for size, n in slices.items())
    commands, requests, redis_bytes = _redis(load, slices)
    warm = (
        load.users * USER_OUT_BYTES
        + load.users * load.actions * CONTRIBUTION_BYTES
        + asked * POST_CHECK_BYTES
        + copied * COPY_BYTES
    )
    return Counts(
        users=load.users,
        pages=pages,
        slices=number,
        messages=1 + pages,
        redis_commands=commands,
        redis_requests=requests,
        redis_bytes=redis_bytes,
        redis_stored=0 if load.cache is CacheMode.OFF else vectors * SET_BYTES,
        round_trips=number * TRIPS_A_SLICE + pages * TRIPS_A_PAGE,
        # of the work list, the log and the posts; the vectors copied, and their times
        rows_read=round(load.users * (1 + load.actions) + asked) + 2 * copied,
        # the vectors; onto the work list and off it; the run, its progress and its counts
        rows_written=vectors + 2 * load.users + 1 + 2 * number,
        cold_bytes=round(warm + asked * POST_BYTES),
        warm_bytes=round(warm),
        in_bytes=round(
            number * SLICE_IN_BYTES
            + vectors * VECTOR_IN_BYTES
            + load.users * USER_IN_BYTES
            + asked * POST_ID_BYTES
        ),
    )


def _slices(load: Load) -> dict[int, int]:
    """Return how many slices there are of each size."""
    full, rest = divmod(load.users, load.page_size)
    found: Counter[int] = Counter()
    for page, pages in ((load.page_size, full), (rest, 1)):
        size = slice_size(page)
        whole, last = divmod(page, size)
        found[size] += whole * pages
        found[last] += pages
    return {size: number for size, number in found.items() if size and number}


def _distinct(actions: float, posts: int) -> float:
    """Return how many different posts so many actions fall on, to be expected."""
    return -posts * math.expm1(actions * math.log1p(-1 / posts))


def _redis(load: Load, slices: dict[int, int]) -> tuple[int, int, int]:
    """Return the commands, the requests and the bytes of their bodies."""
    number = sum(slices.values())
    match load.cache:
        case CacheMode.WRITE:
            vectors = load.users - load.skipped
            share = vectors / max(load.users, 1)
            fit = PIPELINE_BYTES // SET_BYTES
            pipelines = sum(math.ceil(size * share / fit) * n for size, n in slices.items())
            deletions = min(number, load.skipped)  # one a slice, of the keys of those skipped
            sent = vectors * SET_BYTES + load.skipped * DEL_BYTES
            return vectors + deletions, pipelines + deletions, sent
        case CacheMode.INVALIDATE:
            return number, number, load.users * DEL_BYTES
        case CacheMode.OFF:
            return 0, 0, 0
