"""What the sizing says, held against real runs, its own limits, and the README."""

import asyncio
import re
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from asyncpg import Connection
from hypothesis import given
from hypothesis import strategies as st

from bench.sizing.__main__ import main
from bench.sizing.costs import INTERVAL_SECONDS, UNMET, ceilings, costs, usage
from bench.sizing.counts import POST_BYTES, POST_ID_BYTES, Counts, Load, counts
from bench.sizing.duration import MEASURED, plan_seconds, run_seconds
from bench.sizing.prices import SERVICES, Usage
from dev.postgres import Postgres
from dev.stack import ROOT, Stack
from dev.upstash.hook import Request, Stage
from lib.settings import CacheMode
from lib.settings.table import RUN_DEADLINE_SECONDS
from tests.conftest import Start, trigger
from tests.scene import build

BYTES = 0.15  # of what was estimated, either way
BOOKKEEPING = 14  # rows a slice: the run's, and those of what is counted and measured
CONNECTING = 30_000  # bytes: what a new connection asks first, about types

# A real run


class Meter:
    """A Unix socket in front of Postgres's own that counts the bytes of both directions."""

    def __init__(self, upstream: Path, folder: str) -> None:
        self.connections = 0
        self.to_postgres = 0
        self.from_postgres = 0
        self._upstream = upstream
        self._folder = folder
        self._serving: set[asyncio.Task[None]] = set()

    @classmethod
    @asynccontextmanager
    async def start(cls, upstream: Path) -> AsyncIterator["Meter"]:
        with tempfile.TemporaryDirectory(prefix="meter-") as folder:
            meter = cls(upstream, folder)
            server = await asyncio.start_unix_server(meter._accept, f"{folder}/.s.PGSQL.5432")
            yield meter
            server.close()
            for task in meter._serving:
                task.cancel()
            await asyncio.gather(*meter._serving, return_exceptions=True)

    def url(self, database: str, user: str) -> str:
        return f"postgresql://{user}@/{database}?host={self._folder}"

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        answers, server = await asyncio.open_unix_connection(self._upstream)
        for task in (
            asyncio.create_task(_carry(reader, server, self._asked)),
            asyncio.create_task(_carry(answers, writer, self._answered)),
        ):
            self._serving.add(task)

    def _asked(self, number: int) -> None:
        self.to_postgres += number

    def _answered(self, number: int) -> None:
        self.from_postgres += number


async def _carry(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, count: Callable[[int], None]
) -> None:
    try:
        while chunk := await reader.read(262_144):
            count(len(chunk))
            writer.write(chunk)
            await writer.drain()
    finally:
        writer.close()


@dataclass(frozen=True)
class Seen:
    """What the stand-ins and Postgres saw of a run, which was of this load."""

    load: Load
    messages: int
    commands: list[str]
    requests: int
    redis_bytes: int
    from_postgres: int
    to_postgres: int
    connecting: int
    vectors: int
    rows_written: int


@pytest.fixture
async def meter(postgres: Postgres) -> AsyncIterator[Meter]:
    async with Meter.start(postgres.socket) as running_meter:
        yield running_meter


async def work(
    start: Start,
    connection: Connection,
    meter: Meter,
    load: Load,
    settings: dict[str, str] | None = None,
) -> Seen:
    """Work off a run of the load's size over a made-up platform; return what it really took."""
    await build(connection, users=load.users, posts=load.posts)
    stack = await start(
        {"PAGE_SIZE": str(load.page_size), "CACHE_MODE": load.cache} | (settings or {}),
        proxy=meter,
    )
    requests: list[tuple[list[str], int]] = []

    async def note(request: Request, stage: Stage) -> None:
        if stage is Stage.EXECUTED:
            requests.append(([command[0] for command in request.commands], request.size))

    stack.upstash.on_request = note
    await trigger(stack)
    deliveries = await stack.broker.drain()
    assert {delivery.status for delivery in deliveries} == {200}
    vectors = await connection.fetchval("SELECT count(*) FROM user_embeddings")
    actions = await connection.fetchval("SELECT count(*) FROM action_log")
    return Seen(
        replace(load, skipped=load.users - vectors, actions=actions / load.users),
        messages=len(stack.broker.messages),
        commands=[name for names, _ in requests for name in names],
        requests=len(requests),
        redis_bytes=sum(size for _, size in requests),
        from_postgres=meter.from_postgres,
        to_postgres=meter.to_postgres,
        connecting=meter.connections * CONNECTING,
        vectors=vectors,
        rows_written=await written(stack, connection),
    )


WRITTEN = """
SELECT relname, n_tup_ins + n_tup_upd + n_tup_del AS rows
FROM pg_stat_user_tables
WHERE (schemaname = 'embedding' OR relname = 'user_embeddings')
  -- is not a run's: it goes by what was done since the last tick, whoever gets a vector
  AND relname NOT IN ('post_popularity', 'popularity_state')
"""


async def written(stack: Stack, connection: Connection) -> int:
    """Return how many rows have been written, once the work list was written and struck off."""
    stack.functions.kill()  # a connection that ends says all it has counted
    users = await connection.fetchval("SELECT users FROM embedding.runs")
    async with asyncio.timeout(20):
        while True:
            rows = {row["relname"]: row["rows"] for row in await connection.fetch(WRITTEN)}
            if rows["run_users"] == 2 * users and rows["runs"] > 1:
                return sum(rows.values())
            await asyncio.sleep(0.05)


RUNS = [
    pytest.param(Load(300, 50, posts=400), {}, id="pages shorter than a slice"),
    pytest.param(
        Load(310, 50, posts=400), {"PARALLEL_CHAINS": "3"}, id="three chains and a short page"
    ),
    pytest.param(Load(720, 600, posts=400), {}, id="two slices a page"),
    pytest.param(Load(300, 50, posts=400, cache=CacheMode.INVALIDATE), {}, id="keys deleted only"),
    pytest.param(Load(300, 50, posts=400, cache=CacheMode.OFF), {}, id="without redis"),
]


@pytest.mark.parametrize(("load", "settings"), RUNS)
async def test_counts_are_what_a_real_run_takes(
    start: Start, connection: Connection, meter: Meter, load: Load, settings: dict[str, str]
):
    seen = await work(start, connection, meter, load, settings)
    said = counts(seen.load)
    assert seen.messages == said.messages
    assert seen.requests == pytest.approx(said.redis_requests, abs=said.slices)
    if load.cache is CacheMode.WRITE:
        assert seen.commands.count("SET") == seen.vectors
        assert set(seen.commands) <= {"SET", "DEL"}
        assert seen.vectors <= len(seen.commands) <= said.redis_commands
    else:
        assert seen.commands == ["DEL"] * said.redis_commands
    assert seen.redis_bytes == pytest.approx(said.redis_bytes, rel=BYTES)
    assert seen.rows_written == pytest.approx(said.rows_written, abs=BOOKKEEPING * said.slices)
    assert said.warm_bytes * (1 - BYTES) <= seen.from_postgres <= said.cold_bytes * (1 + BYTES)
    least, most = said.in_bytes * (1 - BYTES), (said.in_bytes + asked_again(said)) * (1 + BYTES)
    assert least <= seen.to_postgres <= most + seen.connecting


def asked_again(said: Counts) -> float:
    """Return what asking for the vectors adds to asking whether those there are still good."""
    return (said.cold_bytes - said.warm_bytes) / POST_BYTES * POST_ID_BYTES


async def test_bytes_of_a_cold_slice_are_those_of_a_real_one(
    start: Start, connection: Connection, meter: Meter
):
    seen = await work(start, connection, meter, Load(250, 250, posts=2_000))
    said = counts(seen.load)
    assert seen.from_postgres == pytest.approx(said.cold_bytes, rel=BYTES)
    assert seen.to_postgres == pytest.approx(said.in_bytes + asked_again(said), rel=BYTES)
    assert seen.redis_bytes == pytest.approx(said.redis_bytes, rel=BYTES)
    assert seen.requests == said.redis_requests


def test_run_without_anybody_is_one_message():
    said = counts(Load(0))
    assert (said.messages, said.pages, said.redis_commands, said.cold_bytes) == (1, 0, 0, 0)


# Laws

LOADS = st.builds(
    Load,
    users=st.integers(0, 10**8),
    page_size=st.integers(1, 5_000),
    actions=st.integers(1, 1_000),
    posts=st.integers(2, 10**7),
    cache=st.sampled_from(CacheMode),
)


@given(LOADS, st.integers(1, 10**7))
def test_more_users_never_take_less(load: Load, more: int):
    few, many = counts(load), counts(replace(load, users=load.users + more))
    assert all(getattr(few, name) <= getattr(many, name) for name in Counts.__annotations__)


@given(LOADS)
def test_warm_instance_never_reads_more_than_a_cold_one(load: Load):
    said = counts(load)
    assert said.warm_bytes <= said.cold_bytes


@given(LOADS, st.integers(1, 64))
def test_another_chain_never_takes_longer(load: Load, chains: int):
    assert run_seconds(load, MEASURED, chains + 1) <= run_seconds(load, MEASURED, chains)


@given(LOADS)
def test_offer_holds_what_it_is_made_for_and_no_plan_that_does_is_cheaper(load: Load):
    used = usage(load, MEASURED)
    for offer in costs(used):
        fit = [plan for plan in offer.service.plans if plan.holds(used)]
        assert (offer.plan is None) == (not fit)
        assert all(offer.dollars <= plan.dollars(used) for plan in fit)


@pytest.mark.parametrize("cache", CacheMode)
def test_ceilings_hold_up_to_their_size_and_no_further(cache: CacheMode):
    load = Load(1, cache=cache)
    plans = {f"{service.name} {plan.name}": plan for service in SERVICES for plan in service.plans}
    for ceiling in ceilings(load, MEASURED, (4,)):
        at, above = replace(load, users=ceiling.users), replace(load, users=ceiling.users + 1)
        if ceiling.where in plans:
            plan = plans[ceiling.where]
            assert plan.holds(usage(at, MEASURED))
            assert plan.holds(usage(above, MEASURED)) == (ceiling.users == UNMET)
        elif ceiling.where == "4 chains":
            assert run_seconds(at, MEASURED, 4) <= INTERVAL_SECONDS
            assert run_seconds(above, MEASURED, 4) > INTERVAL_SECONDS


# Dollars

MONTH = Usage(
    messages_a_day=0,
    messages=0,
    commands=0,
    stored_gb=0,
    redis_gb=0,
    cpu_hours=0,
    memory_gb_hours=0,
    invocations=0,
)


@pytest.mark.parametrize(
    ("used", "plan", "dollars"),
    [
        pytest.param({"messages_a_day": 1_000}, "Free", 0, id="messages, the last free one"),
        pytest.param(
            {"messages_a_day": 1_001, "messages": 30_030},
            "Pay as You Go",
            0.3003,
            id="messages, one more",
        ),
        pytest.param(
            {"messages_a_day": 10**6, "messages": 30 * 10**6}, "Fixed 1M", 180, id="a million a day"
        ),
        pytest.param({"commands": 500_000}, "Free", 0, id="commands, the last free one"),
        pytest.param(
            {"commands": 10**6, "stored_gb": 0.3}, "Pay as You Go", 2, id="commands, a million"
        ),
        pytest.param({"commands": 10**8, "stored_gb": 0.9}, "Fixed 1GB", 20, id="commands, many"),
        pytest.param({"commands": 1, "stored_gb": 101}, "Fixed 500GB", 1_500, id="100 GB and more"),
        pytest.param({"stored_gb": 501}, None, float("inf"), id="more than any plan holds"),
        pytest.param({"cpu_hours": 4}, "Hobby", 0, id="the last free hour"),
        pytest.param({"cpu_hours": 100}, "Pro", 20, id="within the credit"),
        pytest.param({"cpu_hours": 1_000}, "Pro", 128, id="beyond the credit"),
    ],
)
def test_cheapest_plan_costs(used: dict[str, float], plan: str | None, dollars: float):
    found = [
        (offer.plan.name if offer.plan else None, pytest.approx(offer.dollars))
        for offer in costs(replace(MONTH, **used))
    ]
    assert (plan, dollars) in found


def test_interval_is_the_deadline_of_a_run():
    assert str(INTERVAL_SECONDS) == RUN_DEADLINE_SECONDS.default


def test_planning_has_room_for_a_million_users():
    assert plan_seconds(Load(1_000_000), MEASURED) == pytest.approx(6)


# The command

README = (ROOT / "README.md").read_text()


def test_readme_says_what_the_command_says(capsys: pytest.CaptureFixture[str]):
    main(["--markdown"])
    written = README.partition("<!-- sizing -->\n")[2].partition("<!-- /sizing -->")[0]
    assert written == capsys.readouterr().out


def test_command_sizes_what_it_is_asked_for(capsys: pytest.CaptureFixture[str]):
    main(["--users", "1000000", "--chains", "8", "--page-size", "1000", "--cache-mode", "off"])
    shown = capsys.readouterr().out
    assert re.search(r"QStash messages +1,001\b", shown)
    assert re.search(r"Redis commands +0\b", shown)
    assert "8 chains" in shown
    assert all(service.seen.split()[0] in shown for service in SERVICES)


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--users=0", "expected 1 to 1,000,000,000, got 0"),
        ("--users=many", "invalid"),
        ("--posts=1", "expected 2 to 1,000,000,000, got 1"),
        ("--page-size=1e3", "invalid"),
        ("--ms-per-user=nan", "expected 0 to 1,000,000, got nan"),
        ("--ms-per-page=-1", "expected 0 to 1,000,000, got -1"),
        ("--cache-mode=on", "invalid"),
    ],
)
def test_command_refuses(option: str, said: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as refused:
        main([option])
    assert refused.value.code == 2
    assert said in capsys.readouterr().err
