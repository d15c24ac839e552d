"""The whole stack with a few users and posts, and whatever can happen to it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Self
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import asyncpg
import httpx
import numpy as np
from valkey.asyncio import Valkey as Redis

from dev import qstash, upstash
from dev.postgres import Postgres
from dev.proxy import LoseAnswer, Proxy
from dev.stack import API_TOKEN, LOGIN, Stack, running
from dev.valkey import Valkey
from lib.store import erasures
from schedule import main
from tests.promises import cosine, judge, open_work, rows
from tests.scene import TYPES, act, age_runs, connect, embed
from tests.tally import Tally

USERS = tuple(UUID(int=number) for number in range(1, 9))
POSTS = tuple(UUID(int=number) for number in range(101, 109))
EMBEDDED = 6  # the others get theirs later, if at all
ROUTE = "/api/actions/batch-process"
SETTINGS = {"PAGE_SIZE": "2", "PARALLEL_CHAINS": "2", "MIN_INTERACTIONS": "1"}
WINDOW = 600.0  # seconds for which QStash knows a deduplication id
SHORT = 0.2
ROUNDS = 3
LAST_ACTIONS = (
    "SELECT user_id, max(created_at) AS at FROM action_log"
    " WHERE action_type = ANY ($1) GROUP BY user_id"
)
MAKE = "INSERT INTO users VALUES ($1) ON CONFLICT DO NOTHING"
WORKED_ON = "SELECT user_id FROM embedding.due UNION SELECT user_id FROM embedding.run_users"
REBUILD = (
    "INSERT INTO embedding.due (user_id, reason)"
    " SELECT DISTINCT user_id, 'rebuild' FROM action_log WHERE post_id = $1"
    " ON CONFLICT DO NOTHING"
)
TABLES = (
    "SELECT string_agg(format('%I.%I', schemaname, tablename), ', ') FROM pg_tables"
    " WHERE schemaname IN ('public', 'embedding')"
)
TERMINATE = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND usename = $1"
)


def vector(seed: int) -> np.ndarray:
    """Return an embedding, (384,)."""
    return np.random.default_rng(seed).normal(size=384)


@dataclass
class World:
    """What there is, how it is broken just now, and what was seen of it."""

    stack: Stack
    proxy: Proxy
    connection: asyncpg.Connection
    other: asyncpg.Connection
    redis: Redis
    http: httpx.AsyncClient
    redis_fault: str = ""
    queue_fault: str = ""
    trap: str = ""
    trap_at: int = 0
    late: asyncpg.transaction.Transaction | None = None
    first: int = 0
    first_delivery: int = 0
    posts: set[UUID] = field(default_factory=set)
    embedded: set[UUID] = field(default_factory=set)
    seen: dict[UUID, datetime] = field(default_factory=dict)

    @classmethod
    @asynccontextmanager
    async def opened(cls, postgres: Postgres, template: str, valkey: Valkey) -> AsyncIterator[Self]:
        """Run the stack over a database of its own within the block."""
        name = f"test_{uuid4().hex}"
        owner = await postgres.create(name, template)
        redis = Redis(unix_socket_path=str(valkey.address))
        async with (
            Proxy.start(postgres.socket) as proxy,
            running(proxy.url(urlsplit(owner).path[1:], LOGIN), valkey, SETTINGS) as stack,
            httpx.AsyncClient(trust_env=False, timeout=60) as http,
        ):
            # the command's client is synchronous, and the broker is in this loop
            await asyncio.to_thread(main, ["register"], stack.environ)
            world = cls(stack, proxy, await connect(owner), await connect(owner), redis, http)
            stack.broker.on_publish = world.at_publish
            stack.upstash.on_request = world.at_cache
            proxy.on_message = world.at_statement
            try:
                yield world
            finally:
                await world.connection.close()
                await world.other.close()
                await redis.aclose()
        await postgres.drop(name)

    async def begin(self) -> None:
        """Begin anew: nothing stays but processes.

        Which is fair: they keep connections, and post vectors that they check by `updated_at`.
        """
        broker = self.stack.broker
        for message in broker.pending():
            broker.ledger.cancel(message)
        broker.dead_letters.clear()
        broker.clock.jump(2 * WINDOW)
        self.first, self.first_delivery = len(broker.messages), len(broker.deliveries)
        await self.connection.execute(
            f"TRUNCATE {await self.connection.fetchval(TABLES)} RESTART IDENTITY CASCADE"
        )
        await self.redis.flushall()
        self.seen = {}
        self.posts, self.embedded = set(POSTS), set(POSTS[:EMBEDDED])
        await self.connection.executemany(
            "INSERT INTO users VALUES ($1)", [(user,) for user in USERS]
        )
        await self.connection.executemany(
            "INSERT INTO posts (id) VALUES ($1)", [(post,) for post in POSTS]
        )
        for number, post in enumerate(POSTS[:EMBEDDED]):
            await embed(self.connection, post, vector(number))

    async def at_publish(self, _: qstash.Message, stage: qstash.Stage) -> None:
        if self.trap == f"publish {stage.value}":
            self.spring()
            raise qstash.Drop
        if self.queue_fault == "500" and stage is qstash.Stage.ARRIVED:
            raise qstash.Refuse(500, '{"error": "internal"}')
        if self.queue_fault == "lost" and stage is qstash.Stage.STORED:
            raise qstash.Drop

    async def at_cache(self, _: upstash.hook.Request, stage: upstash.hook.Stage) -> None:
        if self.trap == f"cache {stage.value}":
            self.spring()
            raise upstash.hook.Drop
        if self.redis_fault == "500" and stage is upstash.hook.Stage.ARRIVED:
            raise upstash.hook.Refuse(500, '{"error": "ERR internal"}')
        if self.redis_fault == "nonsense":
            raise upstash.hook.Refuse(200, "<html>")
        if self.redis_fault == "cut" and stage is upstash.hook.Stage.ARRIVED:
            raise upstash.hook.Drop
        if self.redis_fault == "slow" and stage is upstash.hook.Stage.EXECUTED:
            await asyncio.sleep(SHORT)

    async def at_statement(self, kind: bytes, _: bytes) -> None:
        if kind not in b"QE" or not self.trap.startswith("statement"):
            return
        self.trap_at -= 1
        if self.trap_at > 0:
            return
        if self.trap == "statement lost":
            self.trap = ""
            raise LoseAnswer
        self.spring()
        raise ConnectionResetError

    def spring(self) -> None:
        """Let what was laid happen, once."""
        kill = self.trap != "statement cut"
        self.trap = ""
        if kill:
            self.stack.functions.kill()

    async def deliver(self, place: int) -> None:
        """Deliver one of the pending messages, in whatever order."""
        if pending := self.stack.broker.pending():
            await self.stack.broker.deliver(pending[place % len(pending)].message_id)

    async def deliver_again(self, place: int) -> None:
        """Deliver any message that ever was, early, late or once more."""
        if messages := self.stack.broker.messages[self.first :]:
            await self.stack.broker.deliver(messages[place % len(messages)].message_id)

    async def act_late(self, user: UUID, post: UUID, days: int) -> None:
        async with self.connection.transaction():
            at = datetime.now(UTC) - timedelta(days=days)
            await act(self.connection, user, post, at=at)
            await self.connection.fetchval("SELECT embedding.report_late_actions($1)", [user])

    async def act_uncommitted(self, user: UUID, post: UUID) -> None:
        """Log an action in a transaction that stays open until `commit`."""
        if self.late is None:
            self.late = self.other.transaction()
            await self.late.start()
        await act(self.other, user, post)

    async def commit(self) -> None:
        if self.late:
            await self.late.commit()
            self.late = None

    async def roll_back(self) -> None:
        if self.late:
            await self.late.rollback()
            self.late = None

    async def delete_post(self, post: UUID) -> None:
        async with self.connection.transaction():
            await self.connection.fetchval("SELECT embedding.report_deleted_posts($1)", [post])
            await self.connection.execute("DELETE FROM posts WHERE id = $1", post)
        self.posts.discard(post)
        self.embedded.discard(post)

    async def embed(self, post: UUID, seed: int) -> None:
        """Embed a post, late or again; what it is again is reported with it."""
        if post not in self.posts:
            return
        async with self.connection.transaction():
            await embed(self.connection, post, vector(seed))
            if post in self.embedded:
                await self.connection.execute(REBUILD, post)
        self.embedded.add(post)

    async def make_again(self, user: UUID, post: UUID) -> None:
        """Make a user again who was deleted, acting at once."""
        async with self.connection.transaction():
            await self.connection.execute(MAKE, user)
            await act(self.connection, user, post)

    async def erase(self, user: UUID) -> None:
        async with self.connection.transaction():
            await erasures.erase(self.connection, user)

    async def opt_out(self, user: UUID) -> None:
        async with self.connection.transaction():
            await erasures.opt_out(self.connection, user)

    async def opt_in(self, user: UUID) -> None:
        async with self.connection.transaction():
            await erasures.opt_in(self.connection, user)

    async def terminate(self) -> None:
        await self.connection.fetch(TERMINATE, LOGIN)

    def redeploy(self) -> None:
        """Start functions anew that know the keys as they are now."""
        keys = self.stack.broker.keys
        self.stack.environ["QSTASH_CURRENT_SIGNING_KEY"] = keys.current  # type: ignore[index]
        self.stack.environ["QSTASH_NEXT_SIGNING_KEY"] = keys.next  # type: ignore[index]
        self.stack.functions.kill()

    async def read(self, user: UUID) -> httpx.Response:
        url = f"{self.stack.app_url}/api/users/{user}/embedding"
        return await self.http.get(url, headers={"Authorization": f"Bearer {API_TOKEN}"})

    async def heal(self) -> None:
        """Let everything be whole again, and what was open be committed."""
        self.redis_fault = self.queue_fault = self.trap = ""
        self.proxy.refuse = False
        await self.commit()

    async def finish(self) -> None:
        """Work off what there is, and one whole run, or what stood in its way first."""
        broker = self.stack.broker
        await broker.drain()
        for _ in range(1 + ROUNDS):
            await broker.tick("user-embeddings")
            planned = await self.connection.fetchval("SELECT count(*) FROM embedding.runs")
            await broker.drain()
            fresh = await self.connection.fetchval("SELECT count(*) FROM embedding.runs") > planned
            if fresh and await open_work(self.connection) == (0, 0):
                return
            # a chain that broke is absorbed by the next tick, once it was waited for
            await self.connection.execute(
                "UPDATE embedding.runs SET progressed_at = progressed_at - INTERVAL '1 hour'"
                " WHERE finished_at IS NULL"
            )
            broker.clock.jump(WINDOW)
        answers = [(d.status, d.response_body[:200], d.error) for d in broker.deliveries[-6:]]
        logs = self.stack.functions.logs[-4:]
        raise AssertionError(f"work is left: {answers}, {logs}")

    async def hold_order(self) -> None:
        """Hold P3: no row's time goes back, and nobody at rest has another vector cached."""
        found = await self.connection.fetch("SELECT id, generated_at FROM user_embeddings")
        times = {row["id"]: row["generated_at"] for row in found}
        for row, at in times.items():
            assert at >= self.seen.get(row, at), "a vector went back"
        self.seen |= times
        busy = {row["user_id"] for row in await self.connection.fetch(WORKED_ON)}
        stored = await rows(self.connection)
        for user in set(USERS) - busy:
            text = await self.redis.get(f"user:{user}:embedding")
            if text is not None:
                assert user in stored, "a key outlived its row"
                alike = cosine(json.loads(text), stored[user].embedding)
                assert alike >= 0.999999, "a key is not its row"

    async def hold_bounds(self) -> None:
        """Hold P5: a run's messages are of its pages, and none twice within QStash's memory."""
        total = {
            str(row["id"]): row["pages"]
            for row in await self.connection.fetch("SELECT id, pages FROM embedding.runs")
        }
        published: dict[tuple[str, int], float] = {}
        for message in self.stack.broker.messages[self.first :]:
            body = json.loads(message.body or b"{}")
            if "page" not in body:
                continue
            key = body["run"], body["page"]
            last = published.get(key)
            assert last is None or message.created - last >= WINDOW, "a page was forked"
            published[key] = message.created
        for run in {run for run, _ in published}:
            assert len([page for of, page in published if of == run]) <= total[run]
        for delivery in self.stack.broker.deliveries[self.first_delivery :]:
            assert delivery.status not in {401, 489, 500}, delivery.response_body

    async def hold_reads(self, user: UUID) -> None:
        """Hold P6: with a broken cache the answer is Postgres's row."""
        stored = (await rows(self.connection)).get(user)
        answer = await self.read(user)
        if stored:
            assert answer.status_code == 200, answer.text
            assert cosine(answer.json()["embedding"], stored.embedding) >= 0.999999

    async def hold_door(self) -> None:
        """Hold P7: who has not signed is answered 401, and opens no connection."""
        if self.stack.functions.pid(ROUTE) is None:
            return
        before = self.proxy.connections
        answer = await self.http.post(self.stack.app_url + ROUTE, content=b"{}")
        assert answer.status_code == 401
        assert self.proxy.connections == before

    async def hold_convergence(self, tally: Tally) -> None:
        """Hold P1, in Postgres and in Redis; a key may be older than in a short test."""
        verdict = await judge(self.connection, USERS, minimum=1)
        tally.users += len(USERS)
        tally.lost += len(verdict.lost)
        tally.wrong += len(verdict.wrong)
        assert verdict.lost == (), "no vector where the reference makes one"
        assert verdict.wrong == (), "another vector than the reference makes"
        stored = await rows(self.connection)
        for row in await self.connection.fetch(LAST_ACTIONS, list(TYPES)):
            if row["user_id"] in stored:
                assert stored[row["user_id"]].generated_at >= row["at"], "an action was passed over"
        keys = {key.decode() for key in await self.redis.keys("*")}
        assert keys == {f"user:{user}:embedding" for user in stored}
        await self.hold_order()

    async def hold_letters(self) -> None:
        """Hold that every page given up is recorded, unless the report was given up, too."""
        dead = self.stack.broker.dead_letters
        letters = [json.loads(letter.message.body or b"{}") for letter in dead]
        if any("sourceMessageId" in body for body in letters):
            return
        found = await self.connection.fetch("SELECT run_id, page FROM embedding.failed_pages")
        recorded = {(str(row["run_id"]), row["page"]) for row in found}
        assert {(b["run"], b["page"]) for b in letters if "page" in b} <= recorded

    async def age(self) -> None:
        await age_runs(self.connection, 2 * 3600)
        self.stack.broker.clock.jump(2 * 3600)
