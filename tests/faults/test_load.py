"""An hour's load at once: a run of 200 pages, the log, readers, ticks, and a Redis that flaps."""

import asyncio
import itertools
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from uuid import UUID

import httpx
import numpy as np
import pytest
from asyncpg import Connection
from valkey.asyncio import Valkey as Redis

from dev import upstash
from dev.qstash import Delivery
from dev.stack import Stack
from dev.valkey import Valkey
from tests.conftest import Start, trigger
from tests.promises import open_work
from tests.scene import ACT, TYPES, Scene, build, connect
from tests.tally import Tally

pytestmark = [pytest.mark.fault(3, 7, 15), pytest.mark.timeout(7200)]

USERS, PAGES, POSTS = 3000, 200, 300
RATE = 500  # actions a second
BATCH = 125  # actions at once
WELL, ILL = 30, 15  # requests to Redis until it changes
TICK = 60  # deliveries
READERS = 3

# What each vector was, also after it was replaced.
HISTORY = """
CREATE TABLE history AS SELECT user_id, embedding, generated_at FROM user_embeddings;
CREATE FUNCTION remember() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO history VALUES (new.user_id, new.embedding, new.generated_at);
    RETURN NULL;
END $$;
CREATE TRIGGER remember AFTER INSERT OR UPDATE ON user_embeddings
    FOR EACH ROW EXECUTE FUNCTION remember();
"""
HELD = "SELECT generated_at FROM user_embeddings WHERE user_id = $1"


@dataclass
class Flapping:
    """Redis in one trouble after another, each for so many requests; well in between."""

    valkey: Valkey
    flaps: int = 0
    healed: bool = False
    _requests: int = 0
    _over: asyncio.Event = field(default_factory=asyncio.Event)

    async def on_request(self, _: upstash.Request, stage: upstash.Stage) -> None:
        if stage is not upstash.Stage.ARRIVED or self.healed:
            return
        self._requests += 1
        if self._requests == WELL:
            self.flaps += 1
            self._over.clear()
            if self.trouble == "stopped":
                self.valkey.stop()
        elif self._requests == WELL + ILL:
            self.heal()
        if self._requests >= WELL:
            await self._suffer()

    @property
    def trouble(self) -> str:
        return ("refuses", "hangs", "cuts", "stopped")[self.flaps % 4]

    def heal(self) -> None:
        if self._requests >= WELL and self.trouble == "stopped":
            self.valkey.start()
        self._requests = 0
        self._over.set()

    async def _suffer(self) -> None:
        match self.trouble:
            case "refuses":
                raise upstash.Refuse(500, '{"error": "ERR internal"}')
            case "cuts":
                raise upstash.Drop
            case "hangs":
                await self._over.wait()


@dataclass
class Log:
    """What logs actions: half by the function, half by the platform, which commits them late."""

    scene: Scene
    random: Random
    begun: float
    logged: int = 0
    over: bool = False

    def behind(self) -> bool:
        return self.logged < RATE * (asyncio.get_running_loop().time() - self.begun)

    async def by_function(self, stack: Stack) -> None:
        async with client(stack) as http:
            while not self.over:
                now = datetime.now(UTC)
                actions = [
                    {
                        "user_id": str(self.random.choice(self.scene.users)),
                        "post_id": str(self.random.choice(self.scene.posts)),
                        "action_type": self.random.choice(TYPES),
                        "created_at": (now - self._ago()).isoformat(),
                    }
                    for _ in range(BATCH)
                ]
                answer = await http.post("/api/actions/log", json={"actions": actions})
                assert answer.json() == {"stored": BATCH, "repeated": 0, "errors": []}
                await self._count()

    async def by_platform(self, url: str) -> None:
        connection = await connect(url)
        try:
            while not self.over:
                async with connection.transaction():
                    now = datetime.now(UTC)
                    rows = [
                        (
                            self.random.choice(self.scene.users),
                            self.random.choice(self.scene.posts),
                            self.random.choice(TYPES),
                            now - self._ago(),
                        )
                        for _ in range(BATCH)
                    ]
                    await connection.executemany(ACT, rows)
                    # committed only after others have logged, and pages have read
                    await self._count()
        finally:
            await connection.close()

    def _ago(self) -> timedelta:
        return timedelta(seconds=self.random.uniform(0, 600))

    async def _count(self) -> None:
        self.logged += BATCH
        while not self.over and not self.behind():  # noqa: ASYNC110  # time passes, no event
            await asyncio.sleep(0.02)


@dataclass
class Answers:
    """What readers were told, and what the row was when they asked."""

    vectors: list[tuple[UUID, bytes, datetime | None, bool]] = field(default_factory=list)
    """User, vector, the row's `generated_at` at the request's start, whether Postgres had a say."""
    absent: int = 0
    lists: int = 0

    async def read(self, stack: Stack, url: str, log: Log) -> None:
        connection = await connect(url)
        try:
            async with client(stack) as http:
                while not log.over:
                    user = log.random.choice(log.scene.users)
                    held = await connection.fetchval(HELD, user)
                    await self._embedding(http, user, held)
                    await self._recommendations(http, user, held)
        finally:
            await connection.close()

    async def _embedding(self, http: httpx.AsyncClient, user: UUID, held: datetime | None) -> None:
        answer = await http.get(f"/api/users/{user}/embedding")
        if answer.status_code == 404 and held is None:
            self.absent += 1
            return
        assert answer.status_code == 200, answer.text
        body = answer.json()
        vector = np.array(body["embedding"], dtype=np.float32).tobytes()
        self.vectors.append((user, vector, held, body["generated_at"] is not None))

    async def _recommendations(
        self, http: httpx.AsyncClient, user: UUID, held: datetime | None
    ) -> None:
        answer = await http.get(f"/api/users/{user}/recommendations", params={"limit": "5"})
        assert answer.status_code == 200, answer.text
        assert answer.json()["personal"] or held is None
        self.lists += 1

    async def assert_true(self, connection: Connection) -> None:
        """Hold that each vector was the row's at some time, and not before the request."""
        was: dict[tuple[UUID, bytes], datetime] = {}
        rows = await connection.fetch("SELECT * FROM history ORDER BY generated_at")
        for row in rows:
            vector = row["embedding"].to_numpy().astype(np.float32).tobytes()
            was[row["user_id"], vector] = row["generated_at"]  # the last time it was
        for user, vector, held, vouched in self.vectors:
            assert (user, vector) in was, "a vector that the row never was"
            if vouched and held is not None:
                assert was[user, vector] >= held, "an older vector than the row's"


def client(stack: Stack) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {stack.environ['API_TOKEN']}"}
    return httpx.AsyncClient(base_url=stack.app_url, headers=headers, timeout=60)


async def end_runs(connection: Connection) -> None:
    """Let whatever run is open look as if it hung."""
    await connection.execute(
        "UPDATE embedding.runs SET progressed_at = progressed_at - interval '16 minutes'"
        " WHERE finished_at IS NULL"
    )


async def test_an_hour_s_load_with_a_redis_that_flaps_loses_nobody_and_misleads_no_reader(
    start: Start,
    connection: Connection,
    redis: Redis,
    valkey_empty: Valkey,
    *,
    database_url: str,
    tally: Tally,
    long: bool,
):
    scene = await build(connection, users=USERS, posts=POSTS)
    await connection.execute(HISTORY)
    settings = {"PAGE_SIZE": str(USERS // PAGES), "PARALLEL_CHAINS": "4"}
    stacks = [await start(settings), await start(settings)]
    flapping, answers = Flapping(valkey_empty), Answers()
    log = Log(scene, Random(7), asyncio.get_running_loop().time())
    ticks, pages, most = 0, 0, 60 if long else 4

    async def delivered(_: Delivery) -> None:
        nonlocal ticks, pages
        pages += 1
        if pages % TICK == 0 and ticks < most:
            ticks += 1
            await trigger(stacks[ticks % 2])
        # no page gets ahead of the log
        while not log.over and log.behind():  # noqa: ASYNC110  # time passes, no event
            await asyncio.sleep(0.02)

    for stack in stacks:
        stack.broker.on_delivered, stack.upstash.on_request = delivered, flapping.on_request
    async with asyncio.TaskGroup() as crowd:
        crowd.create_task(log.by_function(stacks[0]))
        crowd.create_task(log.by_platform(database_url))
        for _ in range(READERS):
            crowd.create_task(answers.read(stacks[0], database_url, log))
        for _ in itertools.repeat(None, 10 if long else 1):
            for stack in stacks:
                await trigger(stack)
            while any(stack.broker.pending() for stack in stacks):
                await asyncio.gather(*(stack.broker.drain() for stack in stacks))
        seconds, logged = asyncio.get_running_loop().time() - log.begun, log.logged
        log.over = flapping.healed = True
        flapping.heal()
    assert pages >= PAGES
    assert logged >= RATE * (seconds - 1), "pages got ahead of the log"
    assert flapping.flaps >= 4
    assert answers.vectors
    assert answers.lists

    await end_runs(connection)
    await trigger(stacks[0])
    await stacks[0].broker.drain()
    assert await open_work(connection) == (0, 0)
    await tally.converged(connection, redis, scene.users)
    await answers.assert_true(connection)
    tally.tried = flapping.flaps + ticks
    read = {"vectors": len(answers.vectors), "none yet": answers.absent, "lists": answers.lists}
    tally.notes += [
        f"{logged} actions logged in {seconds:.0f} s, {logged / seconds:.0f} a second",
        f"{pages} messages delivered, {ticks} ticks among them, {flapping.flaps} flaps of Redis",
        f"answers to readers: {', '.join(f'{n} {what}' for what, n in read.items())}",
    ]
