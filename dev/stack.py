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
SQL = (
    *(ROOT / "db" / name for name in ("platform.sql", "schema.sql", "indexes.sql", "roles.sql")),
    ROOT / "dev" / "logins.sql",
)
LOGIN = "functions"
"""Whom the functions log in as."""
REDIS_TOKEN = "local-redis-token"
API_TOKEN = "local-api-token"
ADMIN_TOKEN = "local-admin-token"


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


@dataclass(frozen=True)
class Ports:
    """Where the parts listen on 127.0.0.1; 0 is any free port."""

    app: int = 0
    qstash: int = 0
    redis: int = 0


ANY = Ports()


@asynccontextmanager
async def running(
    database_url: str,
    valkey: Valkey,
    settings: Mapping[str, str] | None = None,
    *,
    root: Path = ROOT,
    bundles: tuple[str, ...] | None = None,
    max_duration: float = 300.0,
    ports: Ports = ANY,
) -> AsyncIterator[Stack]:
    """Run the stack over a database and a Valkey; `settings` are added to the environment.

    The functions are those below `root`, or the built `bundles` there, named as their routes.
    Messages wait until somebody lets the broker deliver them.
    """
    broker, upstash = Broker(), Upstash(valkey.address, token=REDIS_TOKEN)
    environ: dict[str, str] = {
        "DATABASE_URL": database_url,
        "QSTASH_TOKEN": broker.token,
        "QSTASH_CURRENT_SIGNING_KEY": broker.keys.current,
        "QSTASH_NEXT_SIGNING_KEY": broker.keys.next,
        "UPSTASH_REDIS_REST_TOKEN": REDIS_TOKEN,
        "API_TOKEN": API_TOKEN,
        "ADMIN_TOKEN": ADMIN_TOKEN,
    }
    functions = Functions(root, environ, bundles=bundles, max_duration=max_duration)
    async with AsyncExitStack() as parts:
        environ["QSTASH_URL"] = await parts.enter_async_context(serve(broker.app, ports.qstash))
        environ["UPSTASH_REDIS_REST_URL"] = await parts.enter_async_context(
            serve(upstash.app, ports.redis)
        )
        parts.push_async_callback(upstash.close)
        environ["APP_URL"] = await parts.enter_async_context(serve(functions.app, ports.app))
        parts.push_async_callback(functions.close)
        environ |= settings or {}
        yield Stack(broker, upstash, functions, environ)
