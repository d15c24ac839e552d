"""What the README, the pages under `docs/` and `.env.example` say is so."""

import json
import re
from collections.abc import AsyncIterator
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import numpy as np
import pytest
from pgvector import Vector

from dev.postgres import Postgres
from dev.stack import ROOT
from lib.batch import Services, find_users_for_embedding_update, process_batch_user_embeddings
from lib.batch.preview import Preview
from lib.embedding import BASELINE
from lib.settings.table import VARIABLES
from lib.settings.variable import Variable
from lib.store import actions, posts
from lib.store.pages import Member
from lib.store.results import Outcome
from lib.web.report import Report
from schedule import main
from tests.scene import MODEL, act, connect, embed

README = (ROOT / "README.md").read_text()
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXT = "\n".join(page.read_text() for page in PAGES)
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
CODE = [text for _, text in BLOCKS] + re.findall(r"(?<!`)`([^`\n]+)`(?!`)", TEXT)

VERCELS_OWN = {"VERCEL_AUTOMATION_BYPASS_SECRET"}
OTHERS = ("VERCEL_", "AWS_", "OTEL_")
"""How variables begin that are read for us."""
MUST_NOT_EXIST = {"pyproject.toml"}
MADE_BY_THE_READER = {"interactions.csv", "items.csv", "item_ids.txt", "item_embeddings.npy"}

NOTE = datetime(2026, 11, 1, tzinfo=UTC)


def sql(beginning: str) -> str:
    """Return the one block of SQL that has a line with this beginning."""
    [block] = [
        text
        for language, text in BLOCKS
        if language == "sql" and re.search(f"^{re.escape(beginning)}", text, re.MULTILINE)
    ]
    return block


def queries(beginning: str) -> list[str]:
    return [part.strip() for part in sql(beginning).split(";\n") if part.strip()]


# The settings


def settings_table() -> str:
    lines = ["| variable | what it is | rule | default |", "|---|---|---|---|"]
    for variable in VARIABLES:
        default = {None: "none", "": "empty"}.get(variable.default, f"`{variable.default}`")
        lines.append(f"| `{variable.name}` | {variable.meaning} | {variable.rule} | {default} |")
    return "\n".join(lines)


def test_settings_table_says_what_the_code_reads():
    written = README.partition("<!-- settings -->\n")[2].partition("\n<!-- /settings -->")[0]
    assert written == settings_table()


def example() -> list[tuple[str, str, str]]:
    """Return (mark, name, value) of each variable in `.env.example`; the mark comments it out."""
    text = (ROOT / ".env.example").read_text()
    return re.findall(r"^(# )?([A-Z_]+)=(.*)$", text, re.MULTILINE)


def as_example(variable: Variable[str] | Variable[int] | Variable[bool]) -> tuple[str, str, str]:
    if variable.default is None:
        return "", variable.name, ""
    return "# ", variable.name, variable.default


def test_env_example_names_every_variable_and_nothing_else():
    ours = [line for line in example() if line[1] not in VERCELS_OWN]
    assert ours == [as_example(variable) for variable in VARIABLES]
    assert {line for line in example() if line[1] in VERCELS_OWN} == {
        ("# ", name, "") for name in VERCELS_OWN
    }


def test_readme_names_no_variable_that_nobody_reads():
    known = {variable.name for variable in VARIABLES} | {"DIRECT_URL", "ON_ERROR_STOP"}
    named = {word for text in CODE for word in re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", text)}
    assert {name for name in named - known if not name.startswith(OTHERS)} == set()


# Commands and places


def test_make_targets_named_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {name for text in CODE for name in re.findall(r"\bmake ([a-z][a-z-]*)", text)}
    assert {"demo", "test"} <= named <= targets


def test_schedule_commands_are_those_of_the_command_line(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        main(["--help"], {})
    explained = capsys.readouterr().out.partition("commands:\n")[2]
    named = {name for text in CODE for name in re.findall(r"schedule\.py ([a-z][a-z-]*)", text)}
    assert named == set(re.findall(r"^  ([a-z-]+) +[A-Z]", explained, re.MULTILINE))


def test_schedule_options_named_exist(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        main(["--help"], {})
    known = capsys.readouterr().out
    options = {"--cron", *(o for text in CODE for o in re.findall(r"schedule\.py (--\w+)", text))}
    assert [option for option in sorted(options) if f"[{option}" not in known] == []


def test_places_named_exist():
    folders = "|".join(path.name for path in ROOT.glob("[a-z]*") if path.is_dir())
    place = rf"(?<![\w/.-])((?:{folders})/[\w./-]*|[\w.-]+\.(?:py|sql|json|txt|toml|csv|npy))\b/?"
    named = {name for text in CODE for name in re.findall(place, text)}
    named -= MADE_BY_THE_READER
    assert {"db/schema.sql", "schedule.py", "lib/batch/"} <= {
        name if (ROOT / name).is_file() else f"{name.rstrip('/')}/" for name in named
    }
    assert {name for name in named if not (ROOT / name).exists()} == MUST_NOT_EXIST


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path):
    links = re.findall(r"\]\(([^)#:]*)(?:#([^)]+))?\)", page.read_text())
    for place, anchor in links:
        there = (page.parent / place).resolve() if place else page
        assert there.is_file(), place
        assert not anchor or anchor in anchors(there), anchor


def test_sample_answers_have_the_fields_of_the_answers():
    [samples] = [text for language, text in BLOCKS if language == "json"]
    report, preview = map(json.loads, samples.splitlines())
    assert list(report) == [field.name for field in fields(Report) if field.name != "trouble"]
    assert list(preview["users"][0]) == [field.name for field in fields(Preview)]


# Queries


async def trouble(connection: asyncpg.Connection) -> UUID:
    """Write a run in which everything went wrong that the README has a query for."""
    run, user = uuid4(), uuid4()
    await connection.execute(
        "INSERT INTO embedding.runs (id, window_start, window_end, progressed_at, chains, users,"
        " pages) VALUES ($1, $2, $2, $2, 1, 2, 1)",
        run,
        NOTE,
    )
    await connection.execute("INSERT INTO embedding.run_users VALUES ($1, 0, $2, false)", run, user)
    await connection.execute("INSERT INTO embedding.run_counts VALUES ($1, 'failed', 1)", run)
    await connection.execute(
        "INSERT INTO embedding.failures VALUES ($1, 'a reason', 2, $2, $3)", user, run, NOTE
    )
    await connection.execute(
        "INSERT INTO embedding.failed_pages VALUES ($1, 0, 503, $2)", run, NOTE
    )
    return run


async def test_queries_show_what_went_wrong(connection: asyncpg.Connection):
    run = await trouble(connection)
    shown = [await connection.fetch(query) for query in queries("-- the last runs")]
    [[last], [count], [failure], [page]] = shown
    assert (last["id"], last["users_left"], last["finished_at"]) == (run, 1, None)
    assert tuple(count) == ("failed", 1)
    assert (failure["reason"], failure["attempts"], failure["failed_at"]) == ("a reason", 2, NOTE)
    assert (page["number"], page["page"], page["status"]) == (last["number"], 0, 503)


async def test_due_query_takes_whoever_acted_on_a_post_embedded_again(
    connection: asyncpg.Connection,
):
    fresh, stale, user, other = uuid4(), uuid4(), uuid4(), uuid4()
    for post in (fresh, stale):
        await connection.execute("INSERT INTO posts (id) VALUES ($1)", post)
        await embed(connection, post, np.ones(384))
    await connection.execute(
        "UPDATE post_embeddings SET updated_at = $2 WHERE post_id = $1", stale, NOTE
    )
    await act(connection, user, fresh)
    await act(connection, other, stale)
    for _ in range(2):
        await connection.execute(sql("INSERT INTO embedding.due"))
    due = await connection.fetch("SELECT user_id, reason FROM embedding.due")
    assert {tuple(row) for row in due} == {(user, "rebuild")}


async def test_an_interrupted_index_is_found_dropped_and_built_anew(
    postgres: Postgres, connection: asyncpg.Connection
):
    look, watch, drop = queries("DROP INDEX CONCURRENTLY")
    database, user = await connection.fetchval("SELECT current_database()"), uuid4()
    await connection.execute("DROP INDEX action_log_user_created")
    for _ in range(2):
        await act(connection, user, uuid4())
    with pytest.raises(asyncpg.UniqueViolationError):
        # the surest way to interrupt a build
        await connection.execute(
            "CREATE UNIQUE INDEX CONCURRENTLY action_log_user_created ON action_log (user_id)"
        )
    await postgres.apply(database, ROOT / "db" / "indexes.sql")
    assert [row["index"] for row in await connection.fetch(look)] == ["action_log_user_created"]
    assert await connection.fetch(watch) == []
    await connection.execute(drop)
    await postgres.apply(database, ROOT / "db" / "indexes.sql")
    assert await connection.fetch(look) == []
    assert await connection.fetchval("SELECT to_regclass('action_log_user_created')") is not None


# Tables with other names

PLATFORM = """
CREATE EXTENSION vector;
CREATE TABLE users (id UUID PRIMARY KEY);
CREATE TABLE content (
  id UUID PRIMARY KEY, owner_id UUID, headline TEXT, section TEXT, published_at TIMESTAMPTZ
);
CREATE TABLE content_vectors (
  content_id UUID PRIMARY KEY, embedding vector(384), model TEXT, embedded_at TIMESTAMPTZ
);
CREATE TABLE events (
  id UUID PRIMARY KEY DEFAULT gen_random_uuid(), actor_id UUID, content_id UUID, kind TEXT,
  occurred_at TIMESTAMPTZ
);
"""

MINIMAL = {
    "QSTASH_TOKEN": "token",
    "QSTASH_CURRENT_SIGNING_KEY": "current",
    "QSTASH_NEXT_SIGNING_KEY": "next",
    "UPSTASH_REDIS_REST_URL": "http://127.0.0.1:1",
    "UPSTASH_REDIS_REST_TOKEN": "token",
    "APP_URL": "http://127.0.0.1:1",
}


@pytest.fixture
async def foreign_url(postgres: Postgres, tmp_path: Path) -> AsyncIterator[str]:
    """A platform with names of its own, and what the README tells it to apply."""
    database = f"foreign_{uuid4().hex}"
    url = await postgres.create(database)
    platform, views = tmp_path / "platform.sql", tmp_path / "views.sql"
    platform.write_text(PLATFORM)
    views.write_text(sql("CREATE VIEW posts"))
    await postgres.apply(database, platform, views, ROOT / "db" / "schema.sql")
    yield url
    await postgres.drop(database)


async def test_views_give_the_batch_what_it_reads(foreign_url: str):
    user, liked, viewed, gone = uuid4(), uuid4(), uuid4(), uuid4()
    now = datetime.now(UTC)
    connection = await connect(foreign_url)
    await connection.execute("INSERT INTO users VALUES ($1)", user)
    for content, axis in ((liked, 0), (viewed, 1)):
        await connection.execute("INSERT INTO content (id) VALUES ($1)", content)
        await connection.execute(
            "INSERT INTO content_vectors VALUES ($1, $2, $3, $4)",
            content,
            Vector(np.eye(384)[axis]),
            MODEL,
            now,
        )
    for age, content, kind in (
        (4, liked, "liked"),
        (3, viewed, "viewed"),
        (3, viewed, "liked"),
        (2, viewed, "unliked"),
        (1, gone, "viewed"),
        (1, None, "viewed"),
        (1, liked, "reported"),
    ):
        await connection.execute(
            "INSERT INTO events (actor_id, content_id, kind, occurred_at) VALUES ($1, $2, $3, $4)",
            user,
            content,
            kind,
            now - timedelta(minutes=age),
        )
    services = Services.load({**MINIMAL, "DATABASE_URL": foreign_url, "MIN_INTERACTIONS": "2"})
    async with services.database.connection() as lent:
        log = await actions.read_log(lent, [user], timedelta(days=90), BASELINE, 1000)
        read = log.histories.distinct_posts
        there = {UUID(bytes=post.tobytes()) for post in read[await posts.existing(lent, read)]}
        _, embedded = await posts.read_embeddings(lent, read, MODEL)
    assert (log.actions.tolist(), log.unknown.tolist()) == ([3], [1])
    assert log.retracted.all()
    assert there == {liked, viewed}
    assert embedded.sum() == 2

    assert await find_users_for_embedding_update(services, 10) == [user]
    [result] = await process_batch_user_embeddings(services, [Member(user, remake=False)])
    assert result.outcome is Outcome.PROCESSED
    stored = await connection.fetchval("SELECT embedding FROM user_embeddings")
    assert stored.to_numpy()[:2] == pytest.approx(np.array([5.0, 1.0]) / np.sqrt(26))
    await services.close()
    await connection.close()


@pytest.mark.parametrize(
    ("condition", "index"),
    [
        (f"user_id = '{uuid4()}' AND created_at > now()", "events_actor_occurred"),
        ("created_at > now()", "events_occurred"),
    ],
    ids=["of a user", "of a window"],
)
async def test_indexes_behind_a_view_are_used(foreign_url: str, condition: str, index: str):
    connection = await connect(foreign_url)
    await connection.execute("SET enable_seqscan = off")
    query = f"EXPLAIN SELECT user_id FROM action_log WHERE {condition}"  # noqa: S608  # constants
    plan = "\n".join(row[0] for row in await connection.fetch(query))
    assert f" {index} " in plan
    await connection.close()
