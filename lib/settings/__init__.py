"""The environment, read once and checked: a wrong variable is one line naming it and its rule."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Self

from lib.errors import SettingError
from lib.settings import table
from lib.settings.table import CacheMode as CacheMode
from lib.settings.variable import Environ as Environ

# What `qstash dev` prints for everybody: fine on a desk, an open door in production.
DEVELOPMENT_KEYS = frozenset(
    {"sig_7kYjw48mhY7kAjqNGcy6cr29RJ6r", "sig_5ZB6DVzB1wjE8S6rZ7eenA8Pdnhs"}
)


@dataclass(frozen=True)
class DatabaseSettings:
    """Where Postgres is."""

    url: str = field(repr=False)
    pooled: bool

    @classmethod
    def load(cls, environ: Environ) -> Self:
        return cls(table.DATABASE_URL.load(environ), table.DATABASE_POOLED.load(environ))


@dataclass(frozen=True)
class RedisSettings:
    """Where Redis is."""

    url: str
    token: str = field(repr=False)

    @classmethod
    def load(cls, environ: Environ) -> Self:
        return cls(
            table.UPSTASH_REDIS_REST_URL.load(environ), table.UPSTASH_REDIS_REST_TOKEN.load(environ)
        )


@dataclass(frozen=True)
class CacheSettings:
    """What a batch does to the cached vectors; `redis` is None if nothing, with CacheMode.OFF."""

    mode: CacheMode
    redis: RedisSettings | None

    @classmethod
    def load(cls, environ: Environ) -> Self:
        """Load where Redis is only if the mode has a use for it."""
        mode = table.CACHE_MODE.load(environ)
        return cls(mode, None if mode is CacheMode.OFF else RedisSettings.load(environ))


@dataclass(frozen=True)
class Tokens:
    """What lets the platform's servers in: `api` to log and to read, `admin` to erase."""

    api: tuple[str, ...] = field(repr=False)
    admin: tuple[str, ...] = field(repr=False)

    @classmethod
    def load(cls, environ: Environ) -> Self:
        """Load both; raise SettingError where one is missing, or opens the other's door."""
        found = cls(table.API_TOKEN.load(environ), table.ADMIN_TOKEN.load(environ))
        if set(found.api) & set(found.admin):
            raise SettingError("API_TOKEN and ADMIN_TOKEN must be different")
        return found


@dataclass(frozen=True)
class SigningKeys:
    """The keys that prove a message is QStash's: the current one, and the next for a rotation."""

    current: str = field(repr=False)
    next: str = field(repr=False)

    @classmethod
    def load(cls, environ: Environ) -> Self:
        """Load both keys; the public development keys are refused in production."""
        keys = cls(
            table.QSTASH_CURRENT_SIGNING_KEY.load(environ),
            table.QSTASH_NEXT_SIGNING_KEY.load(environ),
        )
        _refuse_public(environ, {keys.current, keys.next})
        return keys


@dataclass(frozen=True)
class QueueSettings:
    """Where QStash is, and where it delivers to."""

    url: str
    token: str = field(repr=False)
    app_url: str
    bypass: str | None = field(repr=False)

    @classmethod
    def load(cls, environ: Environ) -> Self:
        return cls(
            table.QSTASH_URL.load(environ),
            table.QSTASH_TOKEN.load(environ),
            app_url(environ),
            table.BYPASS_SECRET.load(environ) or None,
        )


@dataclass(frozen=True)
class VectorSettings:
    """What goes into a vector.

    `scheme`, `shadow` and `experiment` are spelt right, not known to exist.
    """

    model_version: str
    min_interactions: int
    lookback: timedelta
    max_posts: int
    scheme: str
    shadow: str | None
    experiment: str | None

    @classmethod
    def load(cls, environ: Environ) -> Self:
        return cls(
            table.MODEL_VERSION.load(environ),
            table.MIN_INTERACTIONS.load(environ),
            timedelta(days=table.LOOKBACK_DAYS.load(environ) or table.EVER_DAYS),
            table.MAX_POSTS_PER_USER.load(environ),
            table.EMBEDDING_SCHEME.load(environ),
            table.EMBEDDING_SHADOW.load(environ),
            table.EMBEDDING_EXPERIMENT.load(environ),
        )


@dataclass(frozen=True)
class RunSettings:
    """How a run is cut into messages. Times in seconds."""

    page_size: int
    chains: int
    overlap: int
    deadline: int

    @classmethod
    def load(cls, environ: Environ) -> Self:
        return cls(
            table.PAGE_SIZE.load(environ),
            table.PARALLEL_CHAINS.load(environ),
            table.WINDOW_OVERLAP_SECONDS.load(environ),
            table.RUN_DEADLINE_SECONDS.load(environ),
        )


@dataclass(frozen=True)
class ImpressionSettings:
    """What is remembered of what was shown: this share of the answers, from 0 to 1."""

    share: float

    @classmethod
    def load(cls, environ: Environ) -> Self:
        return cls(table.IMPRESSION_SHARE.load(environ))


@dataclass(frozen=True)
class ExplorationSettings:
    """What is left to chance: this share of the positions of an answer, from 0 to 0.5."""

    share: float

    @classmethod
    def load(cls, environ: Environ) -> Self:
        return cls(table.EXPLORE_SHARE.load(environ))


@dataclass(frozen=True)
class SnapshotSettings:
    """Where snapshots go; without a `bucket`, None, there are none."""

    bucket: str | None

    @classmethod
    def load(cls, environ: Environ) -> Self:
        return cls(table.SNAPSHOT_BUCKET.load(environ))


def current_key(environ: Environ) -> str:
    """Return the key that messages are signed with, under the same rule as both of SigningKeys."""
    key = table.QSTASH_CURRENT_SIGNING_KEY.load(environ)
    _refuse_public(environ, {key})
    return key


def app_url(environ: Environ) -> str:
    """Return the deployment's public base URL."""
    production = environ.get("VERCEL_PROJECT_PRODUCTION_URL")
    if not environ.get("APP_URL") and production:
        environ = {table.APP_URL.name: f"https://{production}"}
    return table.APP_URL.load(environ)


def in_production(environ: Environ) -> bool:
    """Whether Vercel says that this is the production deployment."""
    return environ.get("VERCEL_ENV") == "production"


def dev_trigger_allowed(environ: Environ) -> bool:
    """Whether a plain GET may work off users: where asked for, never on a deployment."""
    development = environ.get("VERCEL_ENV", "") in {"", "development"}
    return development and table.ALLOW_DEV_TRIGGER.load(environ)


def _refuse_public(environ: Environ, keys: set[str]) -> None:
    if in_production(environ) and DEVELOPMENT_KEYS & keys:
        raise SettingError(
            "QSTASH_CURRENT_SIGNING_KEY and QSTASH_NEXT_SIGNING_KEY must be your own in"
            " production, got the public development keys"
        )
