"""What a page sends: round trips to Postgres, requests to Redis, messages to QStash."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from bench.page import Places, plan, sized, work
from bench.platform import Platform
from dev import upstash
from dev.proxy import Proxy
from dev.qstash import Broker, Message
from dev.qstash import Stage as Publishing
from dev.serve import serve
from dev.stack import REDIS_TOKEN
from dev.upstash import Upstash
from lib.batch import Services
from lib.batch.page import SMALL_SLICE

TRIES = 5
TURNS = {b"Q", b"S", b"H"}
"""Query, Sync and Flush: a client that sends one of them waits for the server."""


@dataclass(frozen=True)
class Traffic:
    """Of a page of one slice; `per_slice`: what a second slice would add to `round_trips`."""

    pooled: bool
    round_trips: int
    per_slice: int
    redis_requests: int
    redis_bytes: int
    publishes: int


async def traffic(platform: Platform, valkey: Path, *, pooled: bool) -> Traffic:
    """Count what a page of one slice sends, and what one of two slices sends more."""
    counts: Counter[str] = Counter()

    async def on_message(kind: bytes, _: bytes) -> None:
        counts["round_trips"] += kind in TURNS

    async def on_request(request: upstash.Request, stage: upstash.Stage) -> None:
        if stage is upstash.Stage.ARRIVED:
            counts["redis_requests"] += 1
            counts["redis_bytes"] += request.size

    async def on_publish(_: Message, stage: Publishing) -> None:
        counts["publishes"] += stage is Publishing.ARRIVED

    redis, broker = Upstash(valkey, token=REDIS_TOKEN), Broker()
    async with (
        Proxy.start(Path(platform.socket)) as proxy,
        serve(redis) as redis_url,
        serve(broker.app) as qstash_url,
    ):
        proxy.on_message, redis.on_request, broker.on_publish = on_message, on_request, on_publish
        places = Places(
            proxy.url(urlsplit(platform.url).path[1:]), redis_url, qstash_url, pooled=pooled
        )
        services = Services.load(places.environ({}))
        try:
            one = await _page(services, platform, 1, counts)
            two = await _page(services, platform, 2, counts)
        finally:
            await services.close()
            await redis.close()
    slices = two["round_trips"] - one["round_trips"]
    return Traffic(pooled, per_slice=slices, **one)


async def _page(
    services: Services, platform: Platform, slices: int, counts: Counter[str]
) -> Counter[str]:
    """Work off a page a few times; return the counts of the time when least was to be said.

    Connecting, and what is asked once on each connection, is so left out.
    """
    taken = []
    for _ in range(TRIES):
        run = await plan(sized(services, slices * SMALL_SLICE), platform)
        counts.clear()
        await work(services, run, 0)
        taken.append(counts.copy())
    return min(taken, key=lambda counted: counted["round_trips"])
