"""Real servers for the whole session; a database, a cache and a stack of its own for each test."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, settings
from valkey.asyncio import Valkey as Redis

from dev.pooler import Pooler, installed
from dev.postgres import Postgres
from dev.proxy import Proxy
from dev.qstash.broker import DEV_CURRENT_KEY, DEV_NEXT_KEY, DEV_TOKEN
from dev.s3 import KEYS, S3, moto
from dev.stack import ADMIN_TOKEN, API_TOKEN, LOGIN, REDIS_TOKEN, SQL, Stack, running
from dev.valkey import Valkey
from lib.qstash.queue import Queue
from lib.settings import QueueSettings
from tests.scene import connect

# how long something takes is no property: the machine may be busy
settings.register_profile(
    "untimed", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("untimed")

HERE = Path(__file__).parent
BROWSERS = HERE / "browsers.sql"
PLATFORMS = {
    "tables": SQL,
    # pgvector in a schema of its own; posts, embeddings and log are views over other names
    "views": (
        HERE / "platform_views.sql",
        *(file for file in SQL if file.name not in {"platform.sql", "indexes.sql"}),
    ),
}


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with Postgres.start() as server:
        yield server


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def front(
    postgres: Postgres, request: pytest.FixtureRequest
) -> AsyncIterator[Postgres | Pooler]:
    """What functions reach Postgres through: nothing, or a pooler with two connections for each."""
    async with before(postgres, request.config) as reached:
        yield reached


@asynccontextmanager
async def before(server: Postgres, config: pytest.Config) -> AsyncIterator[Postgres | Pooler]:
    """Put before a server what the command line asks for."""
    if config.getoption("--pooler"):
        async with Pooler.start(server.socket, pool_size=2, user=LOGIN) as pooler:
            yield pooler
    else:
        yield server


@pytest.fixture(scope="session")
def platform(request: pytest.FixtureRequest) -> str:
    """What kind of platform the test's database belongs to; see PLATFORMS."""
    return request.param


@pytest.fixture(scope="session")
def templates() -> set[str]:
    """The templates made so far: one fixture's value a platform would be forgotten in between."""
    return set()


@pytest.fixture(scope="session")
def template(postgres: Postgres, platform: str, templates: set[str]) -> str:
    """A database that browsers would see, as on Supabase, with the files of db/ and no rows."""
    name = f"template_{platform}"

    async def prepare() -> None:
        await postgres.create(name)
        await postgres.apply(name, BROWSERS, *PLATFORMS[platform])

    if name not in templates:
        asyncio.run(prepare())
        templates.add(name)
    return name


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--platform", choices=PLATFORMS, help="run all tests on this one alone")
    parser.addoption(
        "--pooler",
        action="store_true",
        help="put pgbouncer before Postgres, and run only the tests that go through it",
    )


BEHIND = {"front", "own_front", "pooler"}
"""Fixtures that put a pooler before Postgres, under --pooler if not always."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Under --pooler keep the tests whose functions it serves, if there is one."""
    if not config.getoption("--pooler"):
        return
    kept, others = [], []
    for item in items:
        (kept if BEHIND & set(getattr(item, "fixturenames", ())) else others).append(item)
    config.hook.pytest_deselected(items=others)
    items[:] = kept
    if installed() is None:
        for item in kept:
            item.add_marker(pytest.mark.skip("pgbouncer is not installed"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run every test that has a database of its own on each platform that its module names."""
    if "platform" in metafunc.fixturenames:
        only = metafunc.config.getoption("--platform")
        platforms = [only] if only else getattr(metafunc.module, "ON_PLATFORMS", ["tables"])
        metafunc.parametrize("platform", platforms, indirect=True, scope="session")


@pytest.fixture
async def owner_url(postgres: Postgres, template: str) -> AsyncIterator[str]:
    """The test's database, for the owner of its tables."""
    name = f"test_{uuid4().hex}"
    yield await postgres.create(name, template)
    await postgres.drop(name)


@pytest.fixture
def database_url(postgres: Postgres, owner_url: str) -> str:
    """The same database, for the functions and commands: with the rights of db/roles.sql."""
    return postgres.url(urlsplit(owner_url).path[1:], LOGIN)


@pytest.fixture
async def functions_url(front: Postgres | Pooler, owner_url: str) -> AsyncIterator[str]:
    """Where functions find the test's database, up to the test's end."""
    name = urlsplit(owner_url).path[1:]
    yield front.url(name, LOGIN)
    await let_go(front, name)


async def let_go(front: Postgres | Pooler, database: str) -> None:
    """Cut off whoever uses a database through a pooler: without one, to drop it does."""
    if isinstance(front, Pooler):
        await front.drop(database)


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[Valkey]:
    with Valkey() as valkey:
        yield valkey


@pytest.fixture
async def valkey_empty(valkey_server: Valkey) -> Valkey:
    """A running Valkey that holds nothing."""
    client = Redis(unix_socket_path=str(valkey_server.address))
    await client.flushall()
    await client.aclose()
    return valkey_server


@pytest.fixture
async def redis(valkey_empty: Valkey) -> AsyncIterator[Redis]:
    """A client of the test's own, which goes to the server itself."""
    client = Redis(unix_socket_path=str(valkey_empty.address))
    yield client
    await client.aclose()


@pytest.fixture
async def connection(owner_url: str) -> AsyncIterator[asyncpg.Connection]:
    opened = await connect(owner_url)
    yield opened
    await opened.close()


@pytest.fixture
async def proxy(front: Postgres | Pooler) -> AsyncIterator[Proxy]:
    """What a function reaches Postgres through, where a test starts the stack with it."""
    async with Proxy.start(front.socket) as running_proxy:
        yield running_proxy


@pytest.fixture(scope="session")
def moto_url() -> Iterator[str]:
    with moto() as url:
        yield url


@pytest.fixture
async def s3(moto_url: str) -> AsyncIterator[S3]:
    """An empty bucket, which functions find by `s3.environ`."""
    async with S3.running(moto_url) as door:
        yield door
        for key, body in door.objects().items():
            if key.endswith(".json"):
                assert_hidden(key.encode() + body, CANARIES)


SECRETS = (
    "QSTASH_TOKEN",
    "QSTASH_CURRENT_SIGNING_KEY",
    "QSTASH_NEXT_SIGNING_KEY",
    "UPSTASH_REDIS_REST_TOKEN",
    "API_TOKEN",
    "ADMIN_TOKEN",
    "VERCEL_AUTOMATION_BYPASS_SECRET",
)
BYPASS_SECRET = "canary-bypass-41c7"
DATABASE_PASSWORD = "canary-password-9e02"
CANARIES = {
    "QSTASH_TOKEN": DEV_TOKEN,
    "QSTASH_CURRENT_SIGNING_KEY": DEV_CURRENT_KEY,
    "QSTASH_NEXT_SIGNING_KEY": DEV_NEXT_KEY,
    "UPSTASH_REDIS_REST_TOKEN": REDIS_TOKEN,
    "API_TOKEN": API_TOKEN,
    "ADMIN_TOKEN": ADMIN_TOKEN,
    "VERCEL_AUTOMATION_BYPASS_SECRET": BYPASS_SECRET,
    "DATABASE_URL": DATABASE_PASSWORD,
    "AWS_SECRET_ACCESS_KEY": KEYS["AWS_SECRET_ACCESS_KEY"],
}
"""What the stack starts with, and what must be in nothing that anything writes."""

type Start = Callable[..., Awaitable[Stack]]


@pytest.fixture
async def start(owner_url: str, functions_url: str, valkey_empty: Valkey) -> AsyncIterator[Start]:
    """Start the stack with given settings; what it wrote by the end holds no secret."""
    stacks: list[Stack] = []
    async with AsyncExitStack() as parts:

        async def begin(
            settings: dict[str, str] | None = None, *, proxy: Proxy | None = None, **options: Any
        ) -> Stack:
            url = proxy.url(urlsplit(owner_url).path[1:], LOGIN) if proxy else functions_url
            secret = {"VERCEL_AUTOMATION_BYPASS_SECRET": BYPASS_SECRET}
            stack = await parts.enter_async_context(
                running(with_password(url), valkey_empty, secret | (settings or {}), **options)
            )
            stacks.append(stack)
            return stack

        yield begin
        for stack in stacks:
            assert_no_secret_shown(stack)


def with_password(url: str) -> str:
    """Return the URL with a password, which the server does not ask for."""
    scheme, _, rest = url.partition("://")
    user, at, place = rest.rpartition("@")
    return f"{scheme}://{user}:{DATABASE_PASSWORD}{at}{place}"


def assert_no_secret_shown(stack: Stack) -> None:
    """Hold that no secret is in what the functions wrote: log lines, and answers to anybody."""
    logs = "\n".join(stack.functions.logs).encode()
    answers = [delivery.response_body for delivery in stack.broker.deliveries]
    dead = [letter.delivery.response_body for letter in stack.broker.dead_letters]
    shown = b"\n".join([logs, *stack.functions.answers, *answers, *dead])
    assert_hidden(shown, CANARIES | {name: stack.environ[name] for name in SECRETS})


def assert_hidden(shown: bytes, secrets: Mapping[str, str]) -> None:
    """Hold that nothing that was written shows a secret; `secrets` by what they are called."""
    for name, secret in secrets.items():
        assert secret.encode() not in shown, f"{name} shows"


async def trigger(stack: Stack) -> str:
    """Publish a start message as `schedule.py trigger` does; return its id."""
    queue = Queue(QueueSettings.load(stack.environ))
    try:
        return await queue.publish_start()
    finally:
        await queue.close()
