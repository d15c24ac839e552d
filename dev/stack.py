"""The offline stack: stand-ins for QStash and Upstash, and the functions under Vercel's runtime."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from dev.functions import Functions
from dev.qstash import Broker
from dev.serve import serve
from dev.upstash import Upstash
from dev.valkey import Valkey

ROOT = Path(__file__).parent.parent
REDIS_TOKEN = "local-redis-token"


@dataclass(frozen=True)
class Stack:
    """The running parts, and the environment in which functions and commands find them."""

    broker: Broker
    upstash: Upstash
    functions: Functions
    environ: Mapping[str, str]

    @property
    def app_url(self) -> str:
        return self.environ["APP_URL"]


@asynccontextmanager
async def running(
    database_url: str,
    valkey: Valkey,
    settings: Mapping[str, str] | None = None,
    *,
    root: Path = ROOT,
    max_duration: float = 300.0,
) -> AsyncIterator[Stack]:
    """Run the stack over a database and a Valkey; `settings` are added to the environment.

    Messages wait until somebody lets the broker deliver them.
    """
    broker, upstash = Broker(), Upstash(valkey.address, token=REDIS_TOKEN)
    environ: dict[str, str] = {
        "DATABASE_URL": database_url,
        "QSTASH_TOKEN": broker.token,
        "QSTASH_CURRENT_SIGNING_KEY": broker.keys.current,
        "QSTASH_NEXT_SIGNING_KEY": broker.keys.next,
        "UPSTASH_REDIS_REST_TOKEN": REDIS_TOKEN,
    }
    functions = Functions(root, environ, max_duration=max_duration)
    async with AsyncExitStack() as parts:
        environ["QSTASH_URL"] = await parts.enter_async_context(serve(broker.app))
        environ["UPSTASH_REDIS_REST_URL"] = await parts.enter_async_context(serve(upstash.app))
        parts.push_async_callback(upstash.close)
        environ["APP_URL"] = await parts.enter_async_context(serve(functions.app))
        parts.push_async_callback(functions.close)
        environ |= settings or {}
        yield Stack(broker, upstash, functions, environ)
