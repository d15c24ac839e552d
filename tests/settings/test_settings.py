import traceback
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from lib.batch import Services
from lib.errors import SettingError
from lib.settings import (
    CacheMode,
    CacheSettings,
    DatabaseSettings,
    ExplorationSettings,
    ImpressionSettings,
    QueueSettings,
    RedisSettings,
    RunSettings,
    SigningKeys,
    SnapshotSettings,
    Tokens,
    VectorSettings,
    app_url,
    dev_trigger_allowed,
    in_production,
)
from lib.settings.table import VARIABLES

CANARY = "canary-7f3a"
DEVELOPMENT = ("sig_7kYjw48mhY7kAjqNGcy6cr29RJ6r", "sig_5ZB6DVzB1wjE8S6rZ7eenA8Pdnhs")

REQUIRED = {
    "DATABASE_URL": "postgresql://user:password@db.example/app",
    "QSTASH_TOKEN": "a-qstash-token",
    "QSTASH_CURRENT_SIGNING_KEY": "sig_current",
    "QSTASH_NEXT_SIGNING_KEY": "sig_next",
    "UPSTASH_REDIS_REST_URL": "https://redis.example",
    "UPSTASH_REDIS_REST_TOKEN": "a-redis-token",
    "APP_URL": "https://app.example",
    "API_TOKEN": "an-api-token",
    "ADMIN_TOKEN": "an-admin-token",
}

ORIGINS = ["ftp://x.example", "x.example", "https://", "https://x.example/", "https://x.example/a"]
ORIGINS += [
    "https://x.example?a=1",
    "https://x.example#a",
    "https://user@x.example",
    "https://[::1",
]
SCHEMES = ["Decay", "decay@", "decay@0", "decay@01", "decay@x", "decay@1@2", "a b", "ü", "a" * 41]
SCHEMES += ["decay@1\n", " decay", "decay,centred", "decay=1", "@1", "decay@1000000"]
EXPERIMENTS = [
    "tastes",
    "tastes:",
    "tastes:decay=1",
    "baseline=50,decay=50",
    ":baseline=50,decay=50",
    "Tastes:baseline=50,decay=50",
    "tastes:baseline=50,decay",
    "tastes:baseline=0,decay=1",
    "tastes:baseline=-1,decay=1",
    "tastes:baseline=0.5,decay=0.5",
    "tastes:baseline=1000000,decay=1",
    "tastes:baseline=50,,decay=50",
    "tastes:baseline=50,decay=50,",
    "tastes: baseline=50, decay=50",
    "tastes:baseline@0=50,decay=50",
    "tastes:baseline=50,decay=50\n",
    f"{'t' * 41}:baseline=50,decay=50",
    "tastes:" + ",".join(f"s{arm}=1" for arm in range(9)),
]
WORDS = ["two words", "a\tb", "a\nb", "naïve", " ", "a\x00"]
NUMBERS = ["-1", "1.5", "ten", " 5", "5 ", "+5", "\u0665", "0x10", "1e3", "9" * 5000]
TOKENS = [*WORDS, ",", "a,", ",a", "a,,b", "a,b,c", "a, b"]
SHARES = ["2", "1.1", "-0.1", ".5", "1.", "0,5", "50%", "1e-1", "nan", "inf", " 1", "0.5\n"]
SWITCHES = ["2", "yes", "true", "-1", "01x"]
MALFORMED: Mapping[str, list[str]] = {
    "DATABASE_URL": ["mysql://db.example/app", "db.example", "postgresql://a b", "postgresql://[x"],
    "QSTASH_TOKEN": WORDS,
    "QSTASH_CURRENT_SIGNING_KEY": WORDS,
    "QSTASH_NEXT_SIGNING_KEY": WORDS,
    "UPSTASH_REDIS_REST_URL": ORIGINS,
    "UPSTASH_REDIS_REST_TOKEN": WORDS,
    "APP_URL": ORIGINS,
    "API_TOKEN": TOKENS,
    "ADMIN_TOKEN": TOKENS,
    "QSTASH_URL": ORIGINS,
    "PAGE_SIZE": [*NUMBERS, "0", "5001"],
    "PARALLEL_CHAINS": [*NUMBERS, "0", "65"],
    "MIN_INTERACTIONS": [*NUMBERS, "0", "1001"],
    "LOOKBACK_DAYS": [*NUMBERS, "36501"],
    "MAX_POSTS_PER_USER": [*NUMBERS, "0", "100001"],
    "WINDOW_OVERLAP_SECONDS": [*NUMBERS, "86401"],
    "RUN_DEADLINE_SECONDS": [*NUMBERS, "59", "604801"],
    "MODEL_VERSION": WORDS,
    "EMBEDDING_SCHEME": SCHEMES,
    "EMBEDDING_SHADOW": SCHEMES,
    "EMBEDDING_EXPERIMENT": EXPERIMENTS,
    "CACHE_MODE": ["Write", "WRITE", "on", "0", "none", "off ", "write,off"],
    "SNAPSHOT_BUCKET": ["ab", "a" * 64, "Bucket", "a_b", "-abc", "abc.", "s3://abc", "abc/def"],
    "IMPRESSION_SHARE": SHARES,
    "EXPLORE_SHARE": [*SHARES, "0.51", "0.500000001", "1"],
    "DATABASE_POOLED": SWITCHES,
    "ALLOW_DEV_TRIGGER": SWITCHES,
}
BOUNDS = {
    "PAGE_SIZE": ("1", "5000"),
    "PARALLEL_CHAINS": ("1", "64"),
    "MIN_INTERACTIONS": ("1", "1000"),
    "LOOKBACK_DAYS": ("0", "36500"),
    "MAX_POSTS_PER_USER": ("1", "50000"),
    "WINDOW_OVERLAP_SECONDS": ("0", "86400"),
    "RUN_DEADLINE_SECONDS": ("60", "604800"),
    "IMPRESSION_SHARE": ("0", "1"),
    "EXPLORE_SHARE": ("0", "0.5"),
    "DATABASE_POOLED": ("0", "1"),
    "ALLOW_DEV_TRIGGER": ("0", "1"),
}
RULES = {variable.name: variable.rule for variable in VARIABLES}


def load(environ: Mapping[str, str]) -> dict[type | str, Any]:
    """Read every setting there is."""
    kinds = (
        CacheSettings,
        DatabaseSettings,
        ExplorationSettings,
        ImpressionSettings,
        QueueSettings,
        RunSettings,
        SigningKeys,
        SnapshotSettings,
        Tokens,
        VectorSettings,
    )
    loaded: dict[type | str, Any] = {kind: kind.load(environ) for kind in kinds}
    return loaded | {"dev trigger": dev_trigger_allowed(environ)}


def refusal(environ: Mapping[str, str]) -> str:
    """Return what is said of an environment that is refused: one line."""
    with pytest.raises(SettingError) as refused:
        load(environ)
    assert len(str(refused.value).splitlines()) == 1
    return str(refused.value)


def test_required_settings_are_enough_and_the_rest_has_the_documented_defaults():
    loaded = load(REQUIRED)
    assert loaded[DatabaseSettings] == DatabaseSettings(REQUIRED["DATABASE_URL"], pooled=True)
    assert loaded[QueueSettings] == QueueSettings(
        "https://qstash.upstash.io", "a-qstash-token", "https://app.example", None
    )
    assert loaded[CacheSettings] == CacheSettings(
        CacheMode.WRITE, RedisSettings("https://redis.example", "a-redis-token")
    )
    assert loaded[RunSettings] == RunSettings(page_size=500, chains=1, overlap=900, deadline=6600)
    assert loaded[SigningKeys] == SigningKeys("sig_current", "sig_next")
    assert loaded[VectorSettings] == VectorSettings(
        "all-MiniLM-L6-v2",
        min_interactions=3,
        lookback=timedelta(days=90),
        max_posts=1000,
        scheme="baseline",
        shadow=None,
        experiment=None,
    )
    assert loaded[SnapshotSettings] == SnapshotSettings(bucket=None)
    assert loaded[ImpressionSettings] == ImpressionSettings(share=1.0)
    assert loaded[ExplorationSettings] == ExplorationSettings(share=0.0)
    assert loaded["dev trigger"] is False


def test_table_of_variables_is_complete_and_each_is_malformed_somewhere():
    assert len(RULES) == len(VARIABLES)
    assert set(MALFORMED) == set(RULES)
    assert {variable.name for variable in VARIABLES if variable.default is None} == set(REQUIRED)


@pytest.mark.parametrize("empty", [False, True], ids=["missing", "empty"])
@pytest.mark.parametrize("name", REQUIRED)
def test_missing_setting_is_one_line_that_names_it_and_its_rule(name: str, empty: bool):  # noqa: FBT001  # a column of the table
    environ = {key: value for key, value in REQUIRED.items() if key != name}
    if empty:
        environ[name] = ""
    assert refusal(environ) == f"{name} is missing: it must be {RULES[name]}"


@pytest.mark.parametrize("name", sorted(set(RULES) - set(REQUIRED)))
def test_empty_optional_setting_counts_as_unset(name: str):
    assert load(REQUIRED | {name: ""}) == load(REQUIRED)


@pytest.mark.parametrize(
    ("name", "text"),
    [(name, text) for name, texts in MALFORMED.items() for text in texts],
    ids=lambda part: ascii(part)[:30],
)
def test_malformed_setting_is_one_line_that_names_it_and_its_rule(name: str, text: str):
    assert refusal(REQUIRED | {name: text}).startswith(f"{name} must be {RULES[name]}")


@pytest.mark.parametrize(
    ("name", "text"), [(name, text) for name, texts in BOUNDS.items() for text in texts]
)
def test_bounds_of_a_number_are_in(name: str, text: str):
    load(REQUIRED | {name: text})


@pytest.mark.parametrize(
    "url",
    [
        "postgres://db.example/app",
        "postgresql://user:p%40ss@db.example:6543/app?sslmode=require",
        "postgresql://postgres@/app?host=/run/postgresql",
        "postgresql:///app",
    ],
)
def test_database_may_be_anywhere_a_url_can_say(url: str):
    assert DatabaseSettings.load({"DATABASE_URL": url}).url == url


@pytest.mark.parametrize("url", ["http://127.0.0.1:8079", "https://[::1]:8080", "http://localhost"])
@pytest.mark.parametrize("name", ["UPSTASH_REDIS_REST_URL", "QSTASH_URL", "APP_URL"])
def test_local_stacks_are_reached_without_encryption(name: str, url: str):
    load(REQUIRED | {name: url})


@pytest.mark.parametrize(
    "url", ["https://x.example?", "https://x.example#", "https://:x@x.example"]
)
@pytest.mark.parametrize("name", ["UPSTASH_REDIS_REST_URL", "QSTASH_URL", "APP_URL"])
def test_url_that_paths_cannot_be_appended_to_is_refused(name: str, url: str):
    assert refusal(REQUIRED | {name: url}).startswith(f"{name} must be ")


@pytest.mark.parametrize("port", ["port", "99999", "-1"])
@pytest.mark.parametrize(
    "name", ["UPSTASH_REDIS_REST_URL", "QSTASH_URL", "APP_URL", "DATABASE_URL"]
)
def test_port_that_is_none_is_refused(name: str, port: str):
    scheme = "postgresql" if name == "DATABASE_URL" else "https"
    assert refusal(REQUIRED | {name: f"{scheme}://x.example:{port}"}).startswith(f"{name} must be ")


@pytest.mark.parametrize(
    "password", ["pa/ss", "pa?ss", "pa#ss", "pa[ss", "pa:ss/x"], ids=["/", "?", "#", "[", ": and /"]
)
def test_password_that_is_not_escaped_is_refused_where_it_breaks_the_url(password: str):
    url = f"postgresql://user:{password}@db.example/app"
    assert refusal(REQUIRED | {"DATABASE_URL": url}).startswith("DATABASE_URL must be ")


@pytest.mark.parametrize("text", ["decay", "decay@1", "a-2nd@999999", "a" * 40])
def test_scheme_is_a_name_or_a_name_at_a_version(text: str):
    settings = VectorSettings.load({"EMBEDDING_SCHEME": text, "EMBEDDING_SHADOW": text})
    assert (settings.scheme, settings.shadow) == (text, text)


@pytest.mark.parametrize(
    "text",
    [
        "tastes:baseline=50,recommended=50",
        "2026-11:decay@1=1,decay@2=999999",
        "t:" + ",".join(f"s{arm}=1" for arm in range(8)),
    ],
    ids=["two arms", "versions", "eight arms"],
)
def test_experiment_names_its_schemes_and_their_shares(text: str):
    assert VectorSettings.load({"EMBEDDING_EXPERIMENT": text}).experiment == text


REDIS = {"UPSTASH_REDIS_REST_URL", "UPSTASH_REDIS_REST_TOKEN"}


async def test_cache_that_is_off_needs_no_redis():
    environ = {name: value for name, value in REQUIRED.items() if name not in REDIS}
    services = Services.load(environ | {"CACHE_MODE": "off"})
    assert (services.cache_mode, services.cache) == (CacheMode.OFF, None)
    await services.close()


@pytest.mark.parametrize("name", sorted(REDIS))
@pytest.mark.parametrize("mode", ["write", "invalidate"])
def test_cache_that_is_not_off_needs_redis(mode: str, name: str):
    assert CacheSettings.load(REQUIRED | {"CACHE_MODE": mode}).mode == mode
    assert refusal(REQUIRED | {"CACHE_MODE": mode, name: ""}).startswith(f"{name} is missing")


def test_lookback_of_zero_days_looks_back_for_ever():
    assert VectorSettings.load({"LOOKBACK_DAYS": "0"}).lookback == timedelta(days=36_500)
    assert VectorSettings.load({"LOOKBACK_DAYS": "7"}).lookback == timedelta(days=7)


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({"VERCEL_PROJECT_PRODUCTION_URL": "app.vercel.app"}, "https://app.vercel.app"),
        (
            {"VERCEL_PROJECT_PRODUCTION_URL": "app.vercel.app", "APP_URL": ""},
            "https://app.vercel.app",
        ),
        (
            {"VERCEL_PROJECT_PRODUCTION_URL": "app.vercel.app", "APP_URL": "https://my.example"},
            "https://my.example",
        ),
        (
            {"VERCEL_PROJECT_PRODUCTION_URL": "", "APP_URL": "http://localhost:3000"},
            "http://localhost:3000",
        ),
    ],
    ids=["Vercel's", "Vercel's for an empty one", "one's own before Vercel's", "one's own"],
)
def test_app_url_is_the_production_domain_unless_another_is_given(
    environ: Mapping[str, str], url: str
):
    assert app_url(environ) == url


def test_app_url_of_a_malformed_production_domain_is_refused():
    with pytest.raises(SettingError, match="_URL must be "):
        app_url({"VERCEL_PROJECT_PRODUCTION_URL": "app.vercel.app/path"})


@pytest.mark.parametrize("allow", [None, "", "0", "1"], ids=str)
@pytest.mark.parametrize(
    "vercel",
    [None, "", "development", "preview", "production", "staging", "Development"],
    ids=str,
)
def test_dev_trigger_needs_to_be_asked_for_and_works_on_no_deployment(
    vercel: str | None, allow: str | None
):
    environ = {"VERCEL_ENV": vercel, "ALLOW_DEV_TRIGGER": allow}
    expected = vercel in {None, "", "development"} and allow == "1"
    given = {name: value for name, value in environ.items() if value is not None}
    assert dev_trigger_allowed(given) is expected


@pytest.mark.parametrize("vercel", [None, "", "development", "preview", "production"], ids=str)
def test_only_production_is_production(vercel: str | None):
    environ = {} if vercel is None else {"VERCEL_ENV": vercel}
    assert in_production(environ) is (vercel == "production")


@pytest.mark.parametrize(
    ("current", "following"),
    [
        (DEVELOPMENT[0], "sig_own"),
        ("sig_own", DEVELOPMENT[1]),
        DEVELOPMENT,
        tuple(reversed(DEVELOPMENT)),
    ],
    ids=["current", "next", "both", "swapped"],
)
def test_development_keys_are_refused_in_production_alone(current: str, following: str):
    keys = {"QSTASH_CURRENT_SIGNING_KEY": current, "QSTASH_NEXT_SIGNING_KEY": following}
    for elsewhere in ("development", "preview", ""):
        assert SigningKeys.load(keys | {"VERCEL_ENV": elsewhere}).current == current
    said = refusal(REQUIRED | keys | {"VERCEL_ENV": "production"})
    assert "QSTASH_CURRENT_SIGNING_KEY" in said
    assert "QSTASH_NEXT_SIGNING_KEY" in said
    assert not any(key in said for key in (current, following))


@pytest.mark.parametrize("vercel", ["", "development", "preview", "production"])
@pytest.mark.parametrize("name", ["QSTASH_CURRENT_SIGNING_KEY", "QSTASH_NEXT_SIGNING_KEY"])
def test_empty_signing_key_is_refused_everywhere(name: str, vercel: str):
    said = refusal(REQUIRED | {name: "", "VERCEL_ENV": vercel})
    assert said.startswith(f"{name} is missing")


SECRETS = [variable.name for variable in VARIABLES if variable.secret]


def test_secrets_are_those_that_open_something():
    assert set(SECRETS) == {
        "DATABASE_URL",
        "QSTASH_TOKEN",
        "QSTASH_CURRENT_SIGNING_KEY",
        "QSTASH_NEXT_SIGNING_KEY",
        "UPSTASH_REDIS_REST_TOKEN",
        "API_TOKEN",
        "ADMIN_TOKEN",
    }


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize("spoilt", ["{0} {0}", "{0}\n{0}", "{0}ß{0}"], ids=ascii)
def test_malformed_secret_is_not_shown(name: str, spoilt: str):
    assert_not_shown(name, spoilt.format(CANARY))


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://[user:{CANARY}@",
        f"mysql://user:{CANARY}@db.example/app",
        f"postgresql://user:{CANARY}/x@db.example/app",
    ],
)
def test_malformed_database_url_is_not_shown(url: str):
    assert_not_shown("DATABASE_URL", url)


def assert_not_shown(name: str, text: str) -> None:
    with pytest.raises(SettingError) as refused:
        load(REQUIRED | {name: text})
    assert CANARY not in "".join(traceback.format_exception(refused.value))


@pytest.mark.parametrize("name", ["UPSTASH_REDIS_REST_URL", "QSTASH_URL", "APP_URL"])
def test_password_in_a_url_that_is_refused_is_not_shown(name: str):
    assert CANARY not in refusal(REQUIRED | {name: f"https://user:{CANARY}@x.example"})


async def test_secrets_are_in_no_representation():
    secrets = {name: f"{CANARY}-{name}" for name in SECRETS}
    secrets["DATABASE_URL"] = f"postgresql://user:{CANARY}@db.example/app"
    environ = REQUIRED | secrets | {"VERCEL_AUTOMATION_BYPASS_SECRET": CANARY}
    loaded = load(environ)
    assert loaded[QueueSettings].bypass == CANARY
    services = Services.load(environ)
    for value in (*loaded.values(), services):
        assert CANARY not in repr(value)
        assert CANARY not in str(value)
    await services.close()
