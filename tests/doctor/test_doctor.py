"""Thirty and more broken deployments, one fault each: each is named, and nothing besides."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from dev import upstash
from dev.serve import serve
from lib.commands.doctor import doctor
from lib.commands.timetable import pause, remove
from lib.doctor.finding import State
from tests.doctor.conftest import Deployment
from tests.given_up import bury

pytestmark = pytest.mark.asyncio(loop_scope="module")

type Break = Callable[[Deployment], Awaitable[None]]


def sql(*statements: str) -> Break:
    async def broken(deployment: Deployment) -> None:
        await deployment.execute(
            *(statement.replace("{database}", deployment.database) for statement in statements)
        )

    return broken


def setting(name: str, value: str) -> Break:
    async def broken(deployment: Deployment) -> None:
        deployment.environ[name] = value

    return broken


async def unregistered(deployment: Deployment) -> None:
    assert await asyncio.to_thread(remove, deployment.environ) == 0


async def paused(deployment: Deployment) -> None:
    assert await asyncio.to_thread(pause, deployment.environ) == 0


async def elsewhere(deployment: Deployment) -> None:
    schedule = deployment.stack.broker.timetable.get("user-embeddings")
    object.__setattr__(schedule, "cron", "0 3 * * *")


async def rotated(deployment: Deployment) -> None:
    current, following = (f"QSTASH_{name}_SIGNING_KEY" for name in ("CURRENT", "NEXT"))
    deployment.environ[current] = "sig_before"
    deployment.environ[following] = deployment.stack.broker.keys.current


async def reader_token(deployment: Deployment) -> None:
    async def refuse(request: upstash.Request, _: upstash.Stage) -> None:
        if request.commands[0][0] != "GET":
            raise upstash.Refuse(400, '{"error":"NOPERM this user has no permissions to run SET"}')

    deployment.stack.upstash.on_request = refuse


async def forgetful(deployment: Deployment) -> None:
    async def answer(request: upstash.Request, _: upstash.Stage) -> None:
        if request.commands[0][0].upper() == "TTL":
            raise upstash.Refuse(200, '{"result":-1}')

    deployment.stack.upstash.on_request = answer


async def invalid_index(deployment: Deployment) -> None:
    await deployment.execute("DROP INDEX action_log_created")
    await deployment.execute(
        "INSERT INTO action_log (user_id, post_id, action_type, created_at)"
        " SELECT user_id, post_id, action_type, created_at FROM action_log LIMIT 1"
    )
    with pytest.raises(Exception, match="could not create unique index"):
        await deployment.execute(
            "CREATE UNIQUE INDEX CONCURRENTLY action_log_created ON action_log (created_at)"
        )


MANY = (
    "INSERT INTO action_log (user_id, post_id, action_type, created_at)"
    " SELECT id, gen_random_uuid(), 'view_post', now() - n * interval '1 second'"
    " FROM users, generate_series(1, 2500) n"
)
CAST = (
    "ALTER TABLE action_log RENAME TO events",
    """
    CREATE VIEW action_log AS
    SELECT id, user_id::TEXT::UUID AS user_id, post_id, action_type, created_at FROM events
    """,
    "GRANT SELECT, INSERT ON action_log TO user_embeddings_log",
    "GRANT SELECT ON action_log TO user_embeddings",
    "ANALYZE events",
)

FAULTS: dict[str, tuple[Break, str, str]] = {
    "no token of QStash's": (setting("QSTASH_TOKEN", ""), "settings", ".env.example"),
    "a page size that is none": (setting("PAGE_SIZE", "many"), "settings", ".env.example"),
    "a scheme nobody knows": (setting("EMBEDDING_SCHEME", "best"), "settings", ".env.example"),
    "the same token for both doors": (
        setting("ADMIN_TOKEN", "local-api-token"),
        "settings",
        ".env.example",
    ),
    "a wrong token of QStash's": (setting("QSTASH_TOKEN", "nobodys"), "keys", "QSTASH_TOKEN"),
    "keys of another account": (
        setting("QSTASH_CURRENT_SIGNING_KEY", "sig_another"),
        "keys",
        "redeploy",
    ),
    "keys rotated at QStash": (rotated, "keys", "redeploy"),
    "a next key that is another": (
        setting("QSTASH_NEXT_SIGNING_KEY", "sig_another"),
        "keys",
        "QSTASH_NEXT_SIGNING_KEY",
    ),
    "no schedule": (unregistered, "schedule", "python schedule.py"),
    "a schedule that is paused": (paused, "schedule", "schedule.py resume"),
    "a schedule at another time": (elsewhere, "schedule", "python schedule.py"),
    "a wrong token of Redis's": (
        setting("UPSTASH_REDIS_REST_TOKEN", "nobodys"),
        "redis",
        "UPSTASH_REDIS_REST_TOKEN",
    ),
    "a token that only reads": (reader_token, "redis", "read-only token"),
    "a Redis that keeps no time to live": (forgetful, "redis", "UPSTASH_REDIS_REST_URL"),
    "a Redis that is not there": (
        setting("UPSTASH_REDIS_REST_URL", "http://127.0.0.1:9"),
        "redis",
        "UPSTASH_REDIS_REST_URL",
    ),
    "a Postgres that is not there": (
        setting("DATABASE_URL", "postgresql://functions@/x?host=/nowhere"),
        "postgres",
        "DATABASE_URL",
    ),
    "a role whose transactions only read": (
        sql("ALTER ROLE functions IN DATABASE {database} SET default_transaction_read_only = on"),
        "server",
        "default_transaction_read_only",
    ),
    "a statement time-out under the plan's": (
        sql("ALTER ROLE functions IN DATABASE {database} SET statement_timeout = '8s'"),
        "server",
        "statement_timeout",
    ),
    "no pgvector": (
        sql("DROP EXTENSION vector CASCADE"),
        "extension",
        "CREATE EXTENSION vector",
    ),
    "pgvector out of reach": (
        sql("CREATE SCHEMA hidden", "ALTER EXTENSION vector SET SCHEMA hidden"),
        "extension",
        "GRANT USAGE ON SCHEMA hidden",
    ),
    "no log": (
        sql("ALTER TABLE action_log RENAME TO events"),
        "platform",
        "Tables with other names",
    ),
    "another name for a column": (
        sql("ALTER TABLE action_log RENAME COLUMN action_type TO kind"),
        "platform",
        "views mend this",
    ),
    "a log whose posts are no UUIDs": (
        sql(
            "DROP INDEX action_log_user_created",
            "ALTER TABLE action_log ALTER COLUMN post_id TYPE TEXT",
            "CREATE INDEX ON action_log (user_id, created_at)",
        ),
        "platform",
        "views mend this",
    ),
    "users behind a view": (
        sql(
            "ALTER TABLE users RENAME TO people",
            "CREATE VIEW users AS SELECT id FROM people",
            "GRANT SELECT ON users TO user_embeddings",
        ),
        "platform",
        "users must be a table",
    ),
    "a schema of an earlier version": (
        sql("ALTER TABLE embedding.runs DROP COLUMN chains"),
        "schema",
        "schema.sql",
    ),
    "a table of ours that is gone": (sql("DROP TABLE embedding.failures"), "schema", "schema.sql"),
    "a function of ours that is gone": (
        sql("DROP FUNCTION embedding.withheld"),
        "schema",
        "schema.sql",
    ),
    "no schema of ours": (sql("DROP SCHEMA embedding CASCADE"), "schema", "schema.sql"),
    "no right to our schema": (
        sql("REVOKE USAGE ON SCHEMA embedding FROM user_embeddings"),
        "rights",
        "roles.sql",
    ),
    "no right to write vectors": (
        sql("REVOKE UPDATE ON user_embeddings FROM user_embeddings"),
        "rights",
        "roles.sql",
    ),
    "no right to read the log": (
        sql("REVOKE SELECT ON action_log FROM user_embeddings, user_embeddings_log"),
        "rights",
        "roles.sql",
    ),
    "rows hidden from the role": (
        sql(
            "DROP POLICY IF EXISTS user_embeddings ON posts",
            "ALTER TABLE posts ENABLE ROW LEVEL SECURITY",
        ),
        "row security",
        "CREATE POLICY",
    ),
    "vectors served to browsers": (
        sql("GRANT SELECT ON user_embeddings TO anon"),
        "browsers",
        "schema.sql",
    ),
    "vectors served through a view": (
        sql(
            "CREATE VIEW tastes AS SELECT user_id, embedding FROM user_embeddings",
            "GRANT SELECT ON tastes TO anon",
        ),
        "browsers",
        "views of your own",
    ),
    "our schema open to browsers": (
        sql("GRANT USAGE ON SCHEMA embedding TO authenticated"),
        "browsers",
        "schema.sql",
    ),
    "no index for a user's actions": (
        sql("DROP INDEX action_log_user_created"),
        "indexes",
        "indexes.sql",
    ),
    "an index whose building was interrupted": (
        invalid_index,
        "indexes",
        "DROP INDEX CONCURRENTLY action_log_created",
    ),
    "a trigger of ours that is gone": (
        sql("DROP TRIGGER note_removed ON user_embeddings"),
        "triggers",
        "schema.sql",
    ),
    "a trigger of ours that is disabled": (
        sql("ALTER TABLE user_embeddings DISABLE TRIGGER note_removed"),
        "triggers",
        "ENABLE TRIGGER",
    ),
    "a view that no index helps": (sql(MANY, *CAST), "plan", "uncast"),
    "a model that embedded nothing": (setting("MODEL_VERSION", "other"), "model", "MODEL_VERSION="),
    "vectors of other lengths than 1": (
        sql("UPDATE post_embeddings SET embedding = embedding * array_fill(2, '{384}')::vector"),
        "vectors",
        "l2_normalize",
    ),
    "vectors of another model's size": (
        sql(
            "ALTER TABLE post_embeddings ALTER COLUMN embedding TYPE vector",
            "UPDATE post_embeddings SET embedding = '[1,0,0]'",
        ),
        "vectors",
        "MODEL_VERSION",
    ),
    "actions by other names": (
        sql("UPDATE action_log SET action_type = 'POST_VIEW'"),
        "actions",
        "view_post",
    ),
    "no tick for hours": (
        sql("UPDATE embedding.runs SET window_end = window_end - interval '5 hours'"),
        "runs",
        "schedule.py trigger",
    ),
    "a run that stands still": (
        sql(
            "UPDATE embedding.runs SET finished_at = NULL,"
            " progressed_at = progressed_at - interval '20 minutes'"
        ),
        "runs",
        "schedule.py trigger",
    ),
}


@pytest.mark.parametrize(
    ("broken", "check", "remedy"), [pytest.param(*fault, id=name) for name, fault in FAULTS.items()]
)
async def test_fault_is_named_with_what_to_type_and_nothing_besides(
    deployment: Deployment, broken: Break, check: str, remedy: str
):
    await broken(deployment)
    found = await deployment.examined()
    wrong = [name for name, finding in found.items() if finding.state is State.WRONG]
    assert wrong == [check], [found[name].said for name in wrong]
    assert remedy in found[check].remedy


async def test_healthy_deployment_has_nothing_wrong_or_to_look_at(deployment: Deployment):
    found = await deployment.examined()
    assert {finding.state for finding in found.values()} == {State.OK}, found


def buried(*paths: str) -> Break:
    """Let QStash have given messages up that were on their way to these URLs."""

    async def broken(deployment: Deployment) -> None:
        for path in paths:
            url = path if "://" in path else deployment.environ["APP_URL"] + path
            bury(deployment.stack.broker, url)

    return broken


PROCESS, FAILED = "/api/actions/batch-process", "/api/actions/batch-failed"


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        pytest.param(buried(PROCESS), "1 of our", id="a page that was given up"),
        pytest.param(buried(FAILED, PROCESS), "2 of our", id="also the report of one"),
        pytest.param(buried(*[PROCESS] * 120), "120 of our", id="more than come in one answer"),
    ],
)
async def test_dead_letters_are_counted_with_what_to_type_and_nothing_is_wrong(
    deployment: Deployment, broken: Break, said: str
):
    await broken(deployment)
    found = await deployment.examined()
    odd = {name: one for name, one in found.items() if one.state is not State.OK}
    assert set(odd) == {"dead letters"}
    assert odd["dead letters"].state is State.LOOK
    assert odd["dead letters"].said.startswith(said)
    assert "schedule.py dlq" in odd["dead letters"].remedy


async def test_dead_letters_of_others_are_none_of_ours(deployment: Deployment):
    await buried(f"https://other.example{PROCESS}", "/api/something")(deployment)
    found = await deployment.examined()
    assert {finding.state for finding in found.values()} == {State.OK}, found


async def other_application(_: dict, __: object, send: Callable) -> None:
    """Somebody else's program, which knows every path."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"<html>welcome</html>"})


async def protection(_: dict, __: object, send: Callable) -> None:
    """Vercel's Deployment Protection, before whom the bypass secret is missing."""
    await send({"type": "http.response.start", "status": 401, "headers": []})
    await send({"type": "http.response.body", "body": b"<html>Authentication Required</html>"})


@asynccontextmanager
async def served_at(app: Callable, deployment: Deployment) -> AsyncIterator[None]:
    async with serve(app) as url:
        deployment.environ["APP_URL"] = url
        yield


@pytest.mark.parametrize(
    ("app", "remedy"),
    [
        pytest.param(other_application, "vercel logs", id="another program"),
        pytest.param(protection, "Protection Bypass for Automation", id="protected"),
    ],
)
async def test_url_that_leads_elsewhere_is_named(
    deployment: Deployment, app: Callable, remedy: str
):
    async with served_at(app, deployment):
        found = await deployment.examined()
    assert found["function"].state is State.WRONG
    assert remedy in found["function"].remedy
    assert found["signature"].state is State.UNCHECKED


async def test_nothing_that_is_said_holds_a_secret(deployment: Deployment):
    secrets = [
        value
        for name, value in deployment.environ.items()
        if name.endswith(("TOKEN", "KEY")) and value
    ]
    deployment.environ |= {"APP_URL": "http://127.0.0.1:9", "QSTASH_URL": "http://127.0.0.1:9"}
    deployment.environ["DATABASE_URL"] = "postgresql://functions:hidden@127.0.0.1:9/x"
    said = str(await deployment.examined())
    assert not [secret for secret in [*secrets, "hidden"] if secret in said]


async def test_command_says_how_many_are_wrong_and_exits_with_one(
    deployment: Deployment, capsys: pytest.CaptureFixture[str]
):
    assert await asyncio.to_thread(doctor, deployment.environ) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith("0 wrong, 0 to look at")
    await deployment.execute("DROP INDEX action_log_created")
    assert await asyncio.to_thread(doctor, deployment.environ) == 1
    out = capsys.readouterr().out
    assert "1 wrong" in out
    assert '-> psql "$DIRECT_URL" -v ON_ERROR_STOP=1 -f db/indexes.sql' in out
