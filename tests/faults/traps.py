"""How the stack is broken: until it is healed, once at some moment, or held up at one."""

import asyncio
from dataclasses import dataclass, field

from dev import qstash, upstash
from dev.proxy import LoseAnswer, Proxy
from dev.stack import Stack

ROUTE = "/api/actions/batch-process"
FAILED = "/api/actions/batch-failed"
SHORT = 0.2
PATIENCE = 0.5  # seconds; a reader's is at an end
BEYOND = 12.0  # seconds; so is a page's
UPSERT = b"INSERT INTO user_embeddings"


@dataclass
class Hold:
    """Holds whoever comes first to a `place`, "upsert" or "cache", until it is let go."""

    place: str
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def wait(self, place: str) -> bool:
        """Wait if this is the place and nobody was here before; return whether it was."""
        if place != self.place or self.reached.is_set() or self.over.is_set():
            return False
        self.reached.set()
        await self.over.wait()
        return True


@dataclass
class Traps:
    """`redis`, `queue`: what is wrong with them just now; `once`: what will happen once.

    `at`: at the how manieth statement from now, where it is one. `left`: for how many more steps
    of the machine what is broken stays so.
    """

    stack: Stack
    proxy: Proxy
    redis: str = ""
    queue: str = ""
    once: str = ""
    at: int = 0
    hold: Hold | None = None
    left: dict[str, int] = field(default_factory=dict)

    def set(self) -> None:
        """Stand at all the ways that lead out of a function."""
        self.stack.broker.on_publish = self.at_publish
        self.stack.upstash.on_request = self.at_cache
        self.proxy.on_message = self.at_statement

    def break_redis(self, how: str, steps: int) -> None:
        self.redis, self.left["redis"] = how, steps

    def break_queue(self, how: str, steps: int) -> None:
        self.queue, self.left["queue"] = how, steps

    def break_postgres(self, steps: int) -> None:
        """Cut all connections, and take no other."""
        self.proxy.cut()
        self.proxy.refuse, self.left["postgres"] = True, steps

    def step(self) -> None:
        """Let whatever was broken for long enough be whole again."""
        self.left = {what: steps - 1 for what, steps in self.left.items() if steps > 1}
        self.redis = self.redis if "redis" in self.left else ""
        self.queue = self.queue if "queue" in self.left else ""
        self.proxy.refuse = "postgres" in self.left

    def heal(self) -> None:
        """Let everything be whole again."""
        self.once, self.left = "", {}
        self.step()

    @property
    def redis_is_out(self) -> bool:
        """Whether Redis does nothing of what it is asked."""
        return self.redis not in {"", "slow"}

    async def at_publish(self, _: qstash.Message, stage: qstash.Stage) -> None:
        if self.once == f"publish {stage.value}":
            self._spring()
            raise qstash.Drop
        if self.queue == "500" and stage is qstash.Stage.ARRIVED:
            raise qstash.Refuse(500, '{"error": "internal"}')
        if self.queue == "lost" and stage is qstash.Stage.STORED:
            raise qstash.Drop

    async def at_cache(self, request: upstash.Request, stage: upstash.Stage) -> None:
        """Do what is wrong with Redis, and execute nothing for a function that has ended."""
        pages = request.path == "/pipeline"
        if self.once == f"cache {stage.value}":
            self._spring()
            raise upstash.Drop
        asking = self.stack.functions.pid(ROUTE)
        if stage is upstash.Stage.ARRIVED and pages and self.hold:
            await self.hold.wait("cache")
            if self.stack.functions.pid(ROUTE) != asking:
                raise upstash.Drop
        if self.redis == "slow" and stage is upstash.Stage.EXECUTED:
            await asyncio.sleep(SHORT)
        if stage is upstash.Stage.EXECUTED:
            return
        match self.redis:
            case "500":
                raise upstash.Refuse(500, '{"error": "ERR internal"}')
            case "nonsense":
                raise upstash.Refuse(200, "<html>")
            case "cut":
                raise upstash.Drop
            case "hang":
                # whoever waited for all of its time-out finds it gone afterwards
                self.redis = "cut" if pages else "hang"
                await asyncio.sleep(BEYOND if pages else PATIENCE)
                raise upstash.Drop

    async def at_statement(self, kind: bytes, payload: bytes) -> None:
        if kind == b"P" and self.hold and UPSERT in payload:
            await self.hold.wait("upsert")
        if kind not in b"QE" or not self.once.startswith("statement"):
            return
        self.at -= 1
        if self.at > 0:
            return
        if self.once == "statement lost":
            self.once = ""
            raise LoseAnswer
        self._spring()
        raise ConnectionResetError

    def _spring(self) -> None:
        kill = self.once != "statement cut"
        self.once = ""
        if kill:
            self.stack.functions.kill(ROUTE)
