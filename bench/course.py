"""One run, from its start message to its last page, through the function's own process."""

import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus

from bench.machine import memory
from bench.platform import Platform
from dev.qstash import Broker
from dev.stack import running
from dev.valkey import Valkey
from lib.qstash.queue import Queue
from lib.settings import QueueSettings

ROUTE = "/api/actions/batch-process"
MOST_DELIVERIES = 100_000

WORK_LIST = """
SELECT pg_total_relation_size('embedding.run_users')
"""


@dataclass(frozen=True)
class Course:
    """What a run took.

    `planning` s and `total` s; `pages`: ms by page number, as the function counts them; `memory`:
    the most that the function's process ever held, in MB; `work_list`: its bytes, once planned.
    """

    users: int
    chains: int
    cached: bool
    planning: float
    total: float
    pages: Sequence[float]
    memory: float
    work_list: int

    def median(self, first: int, last: int) -> float:
        """Return the median of the pages from `first` up to and without `last`."""
        return statistics.median(self.pages[first:last])


async def run_course(
    platform: Platform, valkey: Valkey, *, chains: int, cached: bool, page_size: int, rounds: int
) -> Course:
    """Let one run take its course; its window holds the last rounds of the log."""
    await platform.forget_runs(rounds)
    await platform.tidy()
    settings = {
        "PAGE_SIZE": str(page_size),
        "PARALLEL_CHAINS": str(chains),
        "CACHE_MODE": "write" if cached else "off",
    }
    async with running(platform.url, valkey, settings) as stack:
        queue = Queue(QueueSettings.load(stack.environ))
        try:
            await queue.publish_start()
        finally:
            await queue.close()
        await stack.broker.drain(max_deliveries=1)
        listed = await platform.connection.fetchval(WORK_LIST)
        begun = time.perf_counter()
        await stack.broker.drain(max_deliveries=MOST_DELIVERIES)
        total = time.perf_counter() - begun
        held = memory(stack.functions.pid(ROUTE) or "gone")
        logs = list(map(json.loads, stack.functions.logs))
    _expect_well(stack.broker)
    batches = [log for log in logs if log["event"] == "batch"]
    [planning] = [log["ms"] / 1000 for log in batches if log["page"] is None]
    pages = {log["page"]: float(log["ms"]) for log in batches if log["page"] is not None}
    if sorted(pages) != list(range(-(-platform.world.users // page_size))):
        raise RuntimeError(f"expected a log line for every page, got {len(pages)}")
    ordered = [pages[number] for number in sorted(pages)]
    return Course(platform.world.users, chains, cached, planning, total, ordered, held, listed)


def _expect_well(broker: Broker) -> None:
    ill = [delivery for delivery in broker.deliveries if delivery.status != HTTPStatus.OK]
    if ill:
        raise RuntimeError(f"expected answers of 200, got {ill[0].status} from {ill[0].url}")
