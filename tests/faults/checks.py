"""What is promised at each step of the machine, and at its end, read from everything itself."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
import httpx
from valkey.asyncio import Valkey as Redis

from dev.stack import API_TOKEN, Stack
from tests.faults.platform import USERS
from tests.faults.traps import FAILED, ROUTE, Traps
from tests.promises import cosine, judge, open_work, rows
from tests.scene import TYPES
from tests.tally import Tally

WINDOW = 600.0  # seconds for which QStash knows a deduplication id
SAME = 0.999999
DOORS = (
    (ROUTE, "POST", ROUTE),
    (FAILED, "POST", FAILED),
    ("/api/users", "GET", f"/api/users/{USERS[0]}/embedding"),
    ("/api/actions/log", "POST", "/api/actions/log"),
)
"""Functions, and what of them a stranger asks."""

# A row that goes without the run takes its key with it at the next one.
WORKED_ON = (
    "SELECT user_id FROM embedding.due WHERE reason IN ('removed', 'erased')"
    " UNION SELECT user_id FROM embedding.run_users"
)
FORGOTTEN = (
    "SELECT count(*) FROM user_embeddings JOIN embedding.erasures USING (user_id)"
    " WHERE opted_out OR generated_at <= erased_at"
)
LEFT = (
    "SELECT count(*) FROM embedding.run_users JOIN embedding.runs ON runs.id = run_id"
    " WHERE run_id = $1 AND page = $2 AND finished_at IS NULL"
)
LAST_ACTIONS = (
    "SELECT user_id, max(created_at) AS at FROM action_log"
    " WHERE action_type = ANY ($1) GROUP BY user_id"
)


@dataclass
class Checks:
    """Looks at the stack and what it keeps; `seen`: when each row's vector was generated.

    `first`: the example's first message of the broker's; `checked`: so many deliveries were held;
    `steps`: so many steps were.
    """

    stack: Stack
    traps: Traps
    connection: asyncpg.Connection
    redis: Redis
    http: httpx.AsyncClient
    seen: dict[UUID, datetime] = field(default_factory=dict)
    first: int = 0
    checked: int = 0
    steps: int = 0

    def begin(self) -> None:
        """Forget what was seen, and whatever there was before."""
        self.seen = {}
        self.first = len(self.stack.broker.messages)
        self.checked = len(self.stack.broker.deliveries)
        self.steps = 0

    def pass_time(self, seconds: float) -> None:
        """Have seen everything so much earlier."""
        self.seen = {row: at - timedelta(seconds=seconds) for row, at in self.seen.items()}

    async def hold_order(self) -> None:
        """Hold P3: no vector's time goes back, and at rest each key is its row, as there is one."""
        found = await self.connection.fetch("SELECT id, generated_at FROM user_embeddings")
        times = {row["id"]: row["generated_at"] for row in found}
        for row, at in times.items():
            assert at >= self.seen.get(row, at), "a vector went back"
        self.seen |= times
        busy = {row["user_id"] for row in await self.connection.fetch(WORKED_ON)}
        stored = await rows(self.connection)
        for user in set(USERS) - busy:
            text = await self.redis.get(f"user:{user}:embedding")
            assert (text is not None) == (user in stored), "a key without a row, or the reverse"
            if text is not None:
                alike = cosine(json.loads(text), stored[user].embedding)
                assert alike >= SAME, "a key is not its row"

    async def hold_erasures(self) -> None:
        """Hold that nobody has a vector of what was erased, nor one at all who wants none."""
        assert await self.connection.fetchval(FORGOTTEN) == 0, "an erasure was undone"

    async def hold_bounds(self) -> None:
        """Hold P5: one run at most is open, and its messages are of its pages, and none forked."""
        runs = await self.connection.fetch("SELECT id, pages, finished_at FROM embedding.runs")
        assert sum(run["finished_at"] is None for run in runs) <= 1
        total = {str(run["id"]): run["pages"] for run in runs}
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

    async def hold_answers(self) -> None:
        """Hold that each answer since the last look is one of ours, and 200 says that all is done.

        Nobody is added to a page once it is planned.
        """
        deliveries = self.stack.broker.deliveries[self.checked :]
        self.checked += len(deliveries)
        for delivery in deliveries:
            assert delivery.status not in {401, 489, 500}, delivery.response_body
            body = json.loads(delivery.body or b"{}")
            if delivery.status == 200 and "page" in body:
                left = await self.connection.fetchval(LEFT, body["run"], body["page"])
                assert left == 0, "a page was answered 200 before it was done"

    async def hold_reads(self) -> None:
        """Hold P6: with a broken cache the answer is Postgres's row, for each user in turn."""
        if not self.traps.redis_is_out or self.traps.proxy.refuse:
            return
        once, self.traps.once = self.traps.once, ""
        stored = await rows(self.connection)
        choice = sorted(stored) or USERS
        user = choice[self.steps % len(choice)]
        answer = await self.read(user)
        self.traps.once = once
        assert answer.status_code == (200 if user in stored else 404), answer.text
        if user in stored:
            assert answer.json()["source"] == "postgres"
            assert cosine(answer.json()["embedding"], stored[user].embedding) >= SAME

    async def read(self, user: UUID) -> httpx.Response:
        url = f"{self.stack.app_url}/api/users/{user}/embedding"
        return await self.http.get(url, headers={"Authorization": f"Bearer {API_TOKEN}"})

    async def hold_doors(self) -> None:
        """Hold P7: a stranger is answered 401, and opens no connection, at each door in turn."""
        route, method, path = DOORS[self.steps % len(DOORS)]
        if self.stack.functions.pid(route) is None:
            return
        before = self.traps.proxy.connections
        answer = await self.http.request(method, self.stack.app_url + path)
        assert answer.status_code == 401
        assert self.traps.proxy.connections == before

    async def hold_step(self) -> None:
        """Hold all that is promised at any moment between two deliveries."""
        await self.hold_order()
        await self.hold_erasures()
        await self.hold_bounds()
        await self.hold_answers()
        await self.hold_reads()
        await self.hold_doors()
        self.steps += 1

    async def hold_convergence(self, tally: Tally) -> None:
        """Hold P1, in Postgres and in Redis; a key may be older than in a short test."""
        assert await open_work(self.connection) == (0, 0), "work is left"
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
        assert keys == {f"user:{user}:embedding" for user in stored}, "keys are not the rows'"

    async def hold_letters(self) -> None:
        """Hold that every page given up is recorded, unless the report was given up, too."""
        letters = list(self._letters())
        if any("sourceMessageId" in body for body in letters):
            return
        found = await self.connection.fetch("SELECT run_id, page FROM embedding.failed_pages")
        recorded = {(str(row["run_id"]), row["page"]) for row in found}
        assert {(b["run"], b["page"]) for b in letters if "page" in b} <= recorded

    def _letters(self) -> Iterator[dict]:
        for letter in self.stack.broker.dead_letters:
            yield json.loads(letter.message.body or b"{}")
