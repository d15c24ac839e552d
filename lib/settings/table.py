"""Every variable that this system reads, with its meaning, rule and default."""

from enum import StrEnum
from typing import Any

from lib.settings.variable import (
    Variable,
    bucket_or_none,
    half_at_most,
    no_experiment_or_one,
    no_scheme_or_one,
    origin,
    postgres,
    scheme,
    share,
    switch,
    tokens,
    whole,
    word,
)

EVER_DAYS = 36_500


class CacheMode(StrEnum):
    """What becomes of a user's key in Redis once the vector is in Postgres: see CACHE_MODE."""

    WRITE = "write"
    INVALIDATE = "invalidate"
    OFF = "off"


DATABASE_URL = Variable(
    "DATABASE_URL",
    "the platform's Postgres",
    "a postgresql:// URL, reserved characters of its password escaped",
    postgres,
    secret=True,
)
DATABASE_POOLED = Variable(
    "DATABASE_POOLED",
    "1 when DATABASE_URL leads through a transaction pooler; 0 allows prepared statements",
    "0 or 1",
    switch,
    default="1",
)
QSTASH_TOKEN = Variable(
    "QSTASH_TOKEN",
    "publishes pages and keeps the schedule",
    "text without spaces",
    word,
    secret=True,
)
QSTASH_URL = Variable(
    "QSTASH_URL",
    "QStash's API: the region's, or a local stand-in",
    "an http(s) URL without a path",
    origin,
    default="https://qstash.upstash.io",
)
QSTASH_CURRENT_SIGNING_KEY = Variable(
    "QSTASH_CURRENT_SIGNING_KEY", "checks signatures", "text without spaces", word, secret=True
)
QSTASH_NEXT_SIGNING_KEY = Variable(
    "QSTASH_NEXT_SIGNING_KEY",
    "checks signatures after a rotation",
    "text without spaces",
    word,
    secret=True,
)
UPSTASH_REDIS_REST_URL = Variable(
    "UPSTASH_REDIS_REST_URL",
    "Redis over REST; neither this nor the token with CACHE_MODE=off",
    "an http(s) URL without a path",
    origin,
)
UPSTASH_REDIS_REST_TOKEN = Variable(
    "UPSTASH_REDIS_REST_TOKEN", "writes the cache", "text without spaces", word, secret=True
)
CACHE_MODE = Variable(
    "CACHE_MODE",
    "what becomes of a page's keys in Redis: written, deleted for readers to fill, or left alone",
    "write, invalidate or off",
    CacheMode,
    default="write",
)
APP_URL = Variable(
    "APP_URL",
    "this deployment's public URL; by default the production domain Vercel names",
    "an http(s) URL without a path or a trailing slash",
    origin,
)
API_TOKEN = Variable(
    "API_TOKEN",
    "lets the platform's servers log, read and recommend; two while it is being changed",
    "text without spaces, or two of them with a comma between",
    tokens,
    secret=True,
)
ADMIN_TOKEN = Variable(
    "ADMIN_TOKEN",
    "lets them erase; two while it is being changed",
    "text without spaces, or two of them with a comma between",
    tokens,
    secret=True,
)
PAGE_SIZE = Variable(
    "PAGE_SIZE", "users a message", "a whole number from 1 to 5000", whole(1, 5000), default="500"
)
PARALLEL_CHAINS = Variable(
    "PARALLEL_CHAINS",
    "pages worked off side by side",
    "a whole number from 1 to 64",
    whole(1, 64),
    default="1",
)
MIN_INTERACTIONS = Variable(
    "MIN_INTERACTIONS",
    "distinct posts a user must have acted on for a first vector; 1 turns the minimum off",
    "a whole number from 1 to 1000",
    whole(1, 1000),
    default="3",
)
LOOKBACK_DAYS = Variable(
    "LOOKBACK_DAYS",
    "how old an action may be to count; 0 counts all",
    f"a whole number from 0 to {EVER_DAYS}",
    whole(0, EVER_DAYS),
    default="90",
)
MAX_POSTS_PER_USER = Variable(
    "MAX_POSTS_PER_USER",
    "posts that make up one vector: the strongest, after summing per post",
    "a whole number from 1 to 50000",
    whole(1, 50_000),
    default="1000",
)
WINDOW_OVERLAP_SECONDS = Variable(
    "WINDOW_OVERLAP_SECONDS",
    "overlap of two runs' windows: longer than the longest transaction that logs actions",
    "a whole number from 0 to 86400",
    whole(0, 86_400),
    default="900",
)
RUN_DEADLINE_SECONDS = Variable(
    "RUN_DEADLINE_SECONDS",
    "the age at which the next tick absorbs an unfinished run; under the schedule's interval",
    "a whole number from 60 to 604800",
    whole(60, 604_800),
    default="6600",
)
MODEL_VERSION = Variable(
    "MODEL_VERSION",
    "the model whose post embeddings count, as `post_embeddings.model_version` spells it",
    "text without spaces",
    word,
    default="all-MiniLM-L6-v2",
)
EMBEDDING_SCHEME = Variable(
    "EMBEDDING_SCHEME",
    "how actions become weights; without a version, the newest",
    "a scheme's name, or name@version",
    scheme,
    default="baseline",
)
EMBEDDING_SHADOW = Variable(
    "EMBEDDING_SHADOW",
    "the scheme whose vectors are written beside the live ones, for comparison; empty is none",
    "a scheme's name, or name@version",
    no_scheme_or_one,
    default="",
)
EMBEDDING_EXPERIMENT = Variable(
    "EMBEDDING_EXPERIMENT",
    "which share of users gets which scheme instead of EMBEDDING_SCHEME; empty is no experiment",
    "name:scheme=share,scheme=share: 2 to 8 schemes, each share a whole number from 1 to 999999",
    no_experiment_or_one,
    default="",
)
SNAPSHOT_BUCKET = Variable(
    "SNAPSHOT_BUCKET",
    "the S3 bucket that all vectors go to after each run; empty is none",
    "3 to 63 of a-z, 0-9, dots and hyphens, a letter or digit first and last",
    bucket_or_none,
    default="",
)
IMPRESSION_SHARE = Variable(
    "IMPRESSION_SHARE",
    "which share of the answers is remembered as shown, for 30 days; 0 remembers none",
    "a number from 0 to 1",
    share,
    default="1",
)
EXPLORE_SHARE = Variable(
    "EXPLORE_SHARE",
    "which share of the positions of an answer is given to a candidate at random; 0 gives none",
    "a number from 0 to 0.5",
    half_at_most,
    default="0",
)
ALLOW_DEV_TRIGGER = Variable(
    "ALLOW_DEV_TRIGGER",
    "1 answers GET /api/actions/batch-process, in development only",
    "0 or 1",
    switch,
    default="0",
)

BYPASS_SECRET = Variable(
    "VERCEL_AUTOMATION_BYPASS_SECRET",
    "lets QStash through Vercel's Deployment Protection; Vercel sets it",
    "text without spaces",
    word,
    default="",
    secret=True,
)

VARIABLES: tuple[Variable[Any], ...] = (
    DATABASE_URL,
    QSTASH_TOKEN,
    QSTASH_CURRENT_SIGNING_KEY,
    QSTASH_NEXT_SIGNING_KEY,
    UPSTASH_REDIS_REST_URL,
    UPSTASH_REDIS_REST_TOKEN,
    APP_URL,
    API_TOKEN,
    ADMIN_TOKEN,
    QSTASH_URL,
    PAGE_SIZE,
    PARALLEL_CHAINS,
    MIN_INTERACTIONS,
    LOOKBACK_DAYS,
    MAX_POSTS_PER_USER,
    WINDOW_OVERLAP_SECONDS,
    RUN_DEADLINE_SECONDS,
    MODEL_VERSION,
    EMBEDDING_SCHEME,
    EMBEDDING_SHADOW,
    EMBEDDING_EXPERIMENT,
    CACHE_MODE,
    SNAPSHOT_BUCKET,
    IMPRESSION_SHARE,
    EXPLORE_SHARE,
    DATABASE_POOLED,
    ALLOW_DEV_TRIGGER,
)
