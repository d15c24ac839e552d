"""The status as Prometheus reads it. All comes from the tables: it outlives every instance."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from lib.status.histogram import Histogram
from lib.status.status import Keyspace, Queue, RunStatus, Status, Totals

CONTENT_TYPE = CONTENT_TYPE_LATEST
PREFIX = "user_embeddings_"


class _Collected(Collector):
    def __init__(self, status: Status) -> None:
        self._status = status

    def collect(self) -> Iterable[Metric]:
        status = self._status
        yield from _totals(status.totals)
        yield from _runs(status)
        yield _gauge(
            "due_users", "Users noted for the next run, up to 100,000.", status.backlog.due
        )
        yield _gauge(
            "failing_users", "Users whose data is at fault, up to 100,000.", status.backlog.failing
        )
        yield from _queue(status.queue)
        yield from _keyspace(status.keyspace)


def exposition(status: Status) -> bytes:
    """Return the metrics as text, by Prometheus's conventions."""
    registry = CollectorRegistry()
    registry.register(_Collected(status))
    return generate_latest(registry)


def _totals(totals: Totals) -> Iterator[Metric]:
    work = totals.work
    ends = {"finished": totals.finished, "absorbed": totals.absorbed}
    yield _counters("runs", "Runs that ended.", "outcome", ends)
    yield _counters("users", "Users done with.", "outcome", asdict(work.outcomes))
    yield _counters("phase_seconds", "Where time went.", "phase", asdict(work.phases))
    reads = {"hit": totals.hits, "miss": totals.misses, "trouble": totals.troubles}
    yield _counters("cache_reads", "Reads that asked Redis.", "result", reads)
    for name, said, amount in (
        ("pages", "Pages with nobody left.", work.pages),
        ("retries", "Deliveries that were another attempt.", work.retries),
        ("repeats", "Deliveries of pages that were done.", work.repeats),
        ("failed_pages", "Pages that QStash gave up on.", work.failed_pages),
        ("unknown_actions", "Actions of unknown types passed over.", work.unknown_actions),
        ("unusable_posts", "Posts without a vector that counts.", work.unusable_posts),
    ):
        yield CounterMetricFamily(PREFIX + name, said, value=amount)
    said = "1 - cosine of a user's new and former vector, of a sample of users."
    yield _histogram("drift_ratio", said, work.drift)


def _runs(status: Status) -> Iterator[Metric]:
    if status.staleness is not None:
        said = "Since the last finished run was planned: what was done before is in the vectors."
        yield _gauge("staleness_seconds", said, status.staleness)
    if status.runs:
        yield from _newest(status, status.runs[0])
    last = status.last_finished
    if last:
        yield _gauge("last_run_seconds", "What the last finished run took.", last.seconds)
        yield _arms(last)


def _arms(run: RunStatus) -> Metric:
    labels = ["model_version", "scheme", "arm"]
    made = _labelled_gauge("last_run_vectors", "Vectors it made.", labels)
    for arm in run.arms:
        made.add_metric([arm.model_version, arm.scheme, arm.name or ""], arm.vectors)
    return made


def _newest(status: Status, run: RunStatus) -> Iterator[Metric]:
    yield _gauge("run_open", "Whether a run is under way.", int(run.finished_at is None))
    yield _gauge("run_users", "Users on the newest run's list.", run.users)
    left = 0 if run.finished_at else run.users_left
    yield _gauge("run_users_left", "Users of it still to do.", left)
    age = (status.at - run.window_end).total_seconds()
    yield _gauge("run_age_seconds", "Since the newest run was planned.", age)
    idle = (status.at - run.progressed_at).total_seconds()
    yield _gauge("run_idle_seconds", "Since it last made progress.", idle)
    coverage, ages = run.freshness.coverage, run.freshness.age
    if coverage is not None:
        said = "Share of the newest run's users who had a vector as it was planned."
        yield _gauge("coverage_ratio", said, coverage)
    if ages.count:
        shares = {"0.5": ages.quantile(0.5) or 0.0, "0.95": ages.quantile(0.95) or 0.0}
        said = "How old those vectors were."
        yield _gauges("vector_age_seconds", said, "quantile", shares)


def _queue(queue: Queue) -> Iterator[Metric]:
    yield _gauge("qstash_up", "Whether QStash could be asked.", int(queue.trouble is None))
    if queue.trouble is not None:
        return
    schedule = queue.schedule
    live = schedule is not None and not schedule.paused
    yield _gauge("schedule_live", "Whether QStash has the schedule, not paused.", int(live))
    if queue.dead_letters is not None:
        said = "Messages that QStash gave up and keeps, up to 100."
        yield _gauge("dead_letters", said, queue.dead_letters)
    if schedule and schedule.next:
        next_tick = schedule.next.timestamp()
        yield _gauge("next_tick_timestamp_seconds", "When the next run is started.", next_tick)
    if schedule and schedule.last:
        last_tick = schedule.last.timestamp()
        yield _gauge("last_tick_timestamp_seconds", "When the last run was started.", last_tick)


def _keyspace(keyspace: Keyspace) -> Iterator[Metric]:
    yield _gauge("redis_told", "Whether Redis told what it counts.", int(keyspace.trouble is None))
    for name, said, amount in (
        ("redis_keyspace_hits", "Reads that found a key in Redis, whoever's.", keyspace.hits),
        ("redis_keyspace_misses", "Reads that found none, whoever's.", keyspace.misses),
    ):
        if amount is not None:
            yield CounterMetricFamily(PREFIX + name, said, value=amount)


def _gauge(name: str, said: str, value: float) -> Metric:
    return GaugeMetricFamily(PREFIX + name, said, value=value)


def _labelled_gauge(name: str, said: str, labels: Sequence[str]) -> GaugeMetricFamily:
    return GaugeMetricFamily(PREFIX + name, said, labels=labels)


def _gauges(name: str, said: str, label: str, values: Mapping[str, float]) -> Metric:
    family = _labelled_gauge(name, said, [label])
    for value, amount in values.items():
        family.add_metric([value], amount)
    return family


def _counters(name: str, said: str, label: str, values: Mapping[str, float]) -> Metric:
    family = CounterMetricFamily(PREFIX + name, said, labels=[label])
    for value, amount in values.items():
        family.add_metric([value], amount)
    return family


def _histogram(name: str, said: str, found: Histogram) -> Metric:
    bounds = [*map(str, found.bounds), "+Inf"]
    buckets = list(zip(bounds, map(float, accumulate(found.counts)), strict=True))
    return HistogramMetricFamily(PREFIX + name, said, buckets=buckets, sum_value=found.total)
