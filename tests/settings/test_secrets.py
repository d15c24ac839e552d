"""Secrets that can be recognised, looked for in whatever could be printed by accident."""

import traceback
from collections.abc import Awaitable, Callable
from uuid import UUID

import pytest

from lib import settings
from lib.batch.services import Services
from lib.cache import Cache
from lib.errors import ServiceError, SettingError
from lib.qstash.message import Page
from lib.qstash.queue import Queue
from lib.recommend.services import Readers
from lib.settings.table import VARIABLES
from lib.store.database import Database
from lib.web.bearer import Bearer
from lib.web.door import Door
from tests.conftest import SECRETS

pytestmark = pytest.mark.fault(28)

CANARY = "canary"
ENVIRON = {name: f"{CANARY}-{name.lower()}" for name in SECRETS} | {
    "DATABASE_URL": f"postgresql://user:{CANARY}@127.0.0.1:1/nothing",
    "UPSTASH_REDIS_REST_URL": "http://127.0.0.1:1",
    "QSTASH_URL": "http://127.0.0.1:1",
    "APP_URL": "https://app.example",
}
LOADED = [
    kind for kind in vars(settings).values() if isinstance(kind, type) and hasattr(kind, "load")
]
MADE: dict[str, Callable[[], object]] = {
    "database": lambda: Database(settings.DatabaseSettings.load(ENVIRON)),
    "cache": lambda: Cache(settings.RedisSettings.load(ENVIRON)),
    "queue": lambda: Queue(settings.QueueSettings.load(ENVIRON)),
    "services": lambda: Services.load(ENVIRON),
    "readers": lambda: Readers.load(ENVIRON),
    "bearer": lambda: Bearer(settings.Tokens.load(ENVIRON).api),
    "door": lambda: Door("https://app.example", settings.SigningKeys.load(ENVIRON)),
}


@pytest.mark.parametrize("kind", LOADED, ids=lambda kind: kind.__name__)
def test_settings_are_written_without_their_secrets(kind: type):
    loaded = kind.load(ENVIRON)
    assert CANARY not in repr(loaded) + str(loaded) + f"{loaded}"


@pytest.mark.parametrize("name", MADE)
def test_what_works_with_secrets_is_written_without_them(name: str):
    made = MADE[name]()
    assert CANARY not in repr(made) + str(made)


@pytest.mark.parametrize("name", [v.name for v in VARIABLES if v.secret])
@pytest.mark.parametrize("value", [f"{CANARY} {CANARY}", f"{CANARY}\n", f"\u00e9{CANARY}"])
def test_secret_that_breaks_its_rule_is_not_in_the_error(name: str, value: str):
    [variable] = [variable for variable in VARIABLES if variable.name == name]
    with pytest.raises(SettingError) as refused:
        variable.load({name: value})
    assert CANARY not in "".join(traceback.format_exception(refused.value))


def test_whatever_may_hold_a_secret_is_known_as_one():
    secret = {variable.name for variable in VARIABLES if variable.secret}
    named = {variable.name for variable in VARIABLES if variable.name.endswith(("_KEY", "_TOKEN"))}
    assert secret >= named | {"DATABASE_URL"}


async def _read() -> None:
    database = Database(settings.DatabaseSettings.load(ENVIRON))
    async with database.connection():
        pass


async def _publish() -> None:
    queue = Queue(settings.QueueSettings.load(ENVIRON))
    await queue.publish_page(Page(UUID(int=1), 0), 1)


@pytest.mark.parametrize("call", [_read, _publish], ids=["postgres", "qstash"])
async def test_error_of_a_service_that_is_away_holds_no_secret(call: Callable[[], Awaitable[None]]):
    with pytest.raises(ServiceError) as failed:
        await call()
    assert CANARY not in "".join(traceback.format_exception(failed.value)) + repr(failed.value)
