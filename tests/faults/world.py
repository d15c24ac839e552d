"""The whole stack under a few users and posts, and what can be done with it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import httpx
from valkey.asyncio import Valkey as Redis

from dev.pooler import Pooler
from dev.postgres import Postgres
from dev.proxy import Proxy
from dev.stack import API_TOKEN, LOGIN, ROOT, Stack, running
from dev.valkey import Valkey
from schedule import main
from tests.faults.checks import WINDOW, Checks
from tests.faults.mail import Mail
from tests.faults.platform import Platform
from tests.faults.traps import FAILED, ROUTE, Traps
from tests.promises import open_work
from tests.scene import connect

SETTINGS = {"PAGE_SIZE": "2", "PARALLEL_CHAINS": "2", "MIN_INTERACTIONS": "1"}
TRIGGERS = ROOT / "db" / "triggers.sql"
TERMINATE = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND usename = $1"
)


@dataclass
class World:
    """What there is, how it is broken just now, and what is held of it."""

    stack: Stack
    platform: Platform
    traps: Traps
    checks: Checks
    mail: Mail

    @classmethod
    @asynccontextmanager
    async def opened(
        cls, postgres: Postgres, front: Postgres | Pooler, template: str, valkey: Valkey
    ) -> AsyncIterator[Self]:
        """Run the stack over a database of its own within the block."""
        name = f"test_{uuid4().hex}"
        owner = await postgres.create(name, template)
        await postgres.apply(name, TRIGGERS)
        redis = Redis(unix_socket_path=str(valkey.address))
        connection, other = await connect(owner), await connect(owner)
        async with (
            Proxy.start(front.socket) as proxy,
            running(proxy.url(urlsplit(owner).path[1:], LOGIN), valkey, SETTINGS) as stack,
            httpx.AsyncClient(trust_env=False, timeout=60) as http,
        ):
            # the command's client is synchronous, and the broker is in this loop
            await asyncio.to_thread(main, ["register"], stack.environ)
            traps = Traps(stack, proxy)
            traps.set()
            checks = Checks(stack, traps, connection, redis, http)
            try:
                platform = Platform(connection, other)
                mail = Mail(stack.broker, platform, traps, checks)
                yield cls(stack, platform, traps, checks, mail)
            finally:
                await connection.close()
                await other.close()
                await redis.aclose()
        await postgres.drop(name)

    async def begin(self, *, triggers: bool) -> None:
        """Begin anew: nothing stays but processes.

        Which is fair: they keep connections, and post vectors that they check by `updated_at`.
        """
        broker = self.stack.broker
        for message in broker.pending():
            broker.ledger.cancel(message)
        broker.dead_letters.clear()
        broker.clock.jump(2 * WINDOW)
        await self.platform.begin(triggers=triggers)
        await self.checks.redis.flushall()
        self.checks.begin()

    async def act_across_a_tick(self, user: UUID, post: UUID, most: int) -> None:
        """Act in a transaction that is committed once another run was planned."""
        await self.platform.act_uncommitted(user, post)
        await self.mail.trigger(most)
        await self.platform.commit()

    async def log(self, user: UUID, post: UUID, days: int) -> None:
        """Log an action by the API, of now or of some days ago, which it reports by itself."""
        action = {"user_id": str(user), "post_id": str(post), "action_type": "share_post"}
        if days:
            action["created_at"] = (datetime.now(UTC) - timedelta(days=days)).isoformat()
        answer = await self.checks.http.post(
            f"{self.stack.app_url}/api/actions/log",
            json={"actions": [action]},
            headers={"Authorization": f"Bearer {API_TOKEN}"},
        )
        assert answer.status_code in {200, 503}, answer.text

    async def terminate(self) -> None:
        await self.platform.connection.fetch(TERMINATE, LOGIN)

    def redeploy(self) -> None:
        """Start functions anew that know the keys as they are now."""
        keys = self.stack.broker.keys
        self.stack.environ["QSTASH_CURRENT_SIGNING_KEY"] = keys.current  # type: ignore[index]
        self.stack.environ["QSTASH_NEXT_SIGNING_KEY"] = keys.next  # type: ignore[index]
        self.stack.functions.kill(ROUTE)
        self.stack.functions.kill(FAILED)

    async def heal(self) -> None:
        """Let everything be whole again, and what was open be committed."""
        self.traps.heal()
        await self.platform.commit()

    async def finish(self) -> None:
        """Work off what there is, which ends by itself if no message was given up, and a run."""
        broker = self.stack.broker
        await broker.drain()
        await self.checks.hold_step()
        if not broker.dead_letters:
            assert await open_work(self.platform.connection) == (0, 0), "a chain broke"
        await self.mail.tick(1)
        await broker.drain()
        await self.checks.hold_step()
