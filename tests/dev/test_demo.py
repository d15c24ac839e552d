import asyncio
import io
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import numpy as np
import pytest
from asyncpg import Connection
from rich.console import Console

from dev.demo.claims import check
from dev.demo.command import run
from dev.demo.data import choose
from dev.demo.failure import Failure
from dev.demo.outcome import Entry, Outcome
from dev.demo.portrait import portray
from dev.demo.progress import follow, last_run, shown
from dev.demo.servers import Servers
from dev.demo.story import demonstrate
from dev.demo.workbench import free, stay_up
from dev.postgres import Postgres
from dev.stack import ROOT
from dev.valkey import Valkey
from dev.world import Action, Post, World, invent
from lib.cache import TTL_SECONDS, key
from lib.settings import VectorSettings
from tests.conftest import CANARIES, assert_hidden
from tests.dev.test_judge import axis

RECORDED = ROOT.parent / "shared" / "data" / "quantum_se"
NOW = datetime(2026, 5, 4, tzinfo=UTC)
SETTINGS = VectorSettings.load({})


def small() -> World:
    return invent(datetime.now(UTC), users=150)


def swapped(world: World) -> World:
    """Give every user the tastes of another one."""
    users = world.users
    return replace(
        world,
        tastes={
            user: world.tastes[other]
            for user, other in zip(users, users[1:] + users[:1], strict=True)
        },
    )


@pytest.fixture
def servers(postgres: Postgres, valkey_empty: Valkey) -> Servers:
    return Servers(postgres, valkey_empty)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Write a data set in which 40 users acted on three or four of 8 items."""
    items = range(8)
    (tmp_path / "item_ids.txt").write_text("".join(f"{item}\n" for item in items))
    np.save(tmp_path / "item_embeddings.npy", np.stack([axis(item, item + 1) for item in items]))
    titles = (f"{item},item {item},text,en" for item in items)
    (tmp_path / "items.csv").write_text("\n".join(["item_id,title,text,lang", *titles]))
    actions = (f"{n % 40},{n % 39 % 8},share_post,{n}" for n in range(160))
    (tmp_path / "interactions.csv").write_text("\n".join(["user_id,item_id,action,ts", *actions]))
    return tmp_path


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), width=100)


def said(console: Console) -> str:
    """Return what the demo has said, which is no secret of what it ran."""
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert_hidden(text.encode(), CANARIES)
    return text


def part(text: str, title: str) -> list[str]:
    """Return the lines between a title and the next empty line."""
    lines = text.splitlines()
    start = next(number for number, line in enumerate(lines) if title in line) + 1
    return lines[start : (*lines, "").index("", start)]


UUIDS = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"


async def test_the_demo_shows_what_came_of_a_run(servers: Servers, console: Console):
    assert await demonstrate(small(), servers, console)
    text = said(console)
    assert "created user-embeddings: 0 */2 * * *" in text
    assert re.search(r"\d+  pages in \d+\.\d s: \d+\.\d pages and \d+ users per second", text)
    assert re.search(r"\d+  users were active, of 150", text)
    assert re.search(r"\d+  users got a vector", text)
    assert re.search(r"\d+  users were skipped: fewer than 3 posts acted on in 90 days", text)
    assert len(part(text, "best posts not seen yet")) == 5
    users = part(text, "most similar users")
    assert len(users) == 3
    assert all(re.match(rf"    0\.\d+  {UUIDS}  [a-z]", line) for line in users)
    name, numbers, expiry = part(text, "its key in Redis")
    assert re.fullmatch(rf"    user:{UUIDS}:embedding", name)
    assert re.fullmatch(r"    \[(-?0\.\d{4}, ){5}\.\.\. 384 numbers\]", numbers)
    assert re.fullmatch(r"    expires in (6 days, 23:59:\d\d|7 days, 0:00:00)", expiry)
    assert [line.split()[0] for line in part(text, "Checked")] == ["ok"] * 13


async def test_the_demo_ends_with_the_routes_in_use(servers: Servers, console: Console):
    assert await demonstrate(small(), servers, console)
    text = said(console).partition("The same user, over HTTP")[2]
    stored, repeated = part(text, "POST /api/actions/log")
    assert re.fullmatch(
        r"    stored 5, repeated 0  share_post on 5 posts about [a-z ]+, new to this user", stored
    )
    assert repeated == "    stored 0, repeated 5  the same call once more"
    columns, *posts, topics, response = part(text, "/recommendations")
    assert columns == "    score  = taste  + fresh  + popular"
    numbers = r"0\.\d{3}"
    assert len(posts) == 3
    assert all(re.match(rf"    {numbers}( +{numbers}){{3}}    [a-z]", post) for post in posts)
    assert re.match(r"    of all 20: [a-z ]+ \d; most often [a-z ]+ \d", topics)
    assert response.endswith("logged with the answer's rec_id: stored 1")
    users, turned = part(text, "the schedule fires again")
    assert re.fullmatch(r"    users active since, or due: \d+", users)
    assert re.fullmatch(r"    top topics of the vector: [a-z, ]+; now: [a-z, ]+", turned)
    *similar, compared = part(text, "/similar, and")
    assert [re.sub(UUIDS, "", line).split()[1:5] for line in similar] == [
        [count, "posts", "in", "common,"] for count in (line.split()[2] for line in similar)
    ]
    assert compared.split()[0] == similar[0].split()[0]
    assert len(part(text, "?why=1")) == 3
    assert [line.split("  ")[2] for line in part(text, "DELETE")] == [
        "before",
        "after",
        "a run later",
    ]


async def test_the_demo_leaves_the_routes_out_where_hardly_a_post_is_new(
    recording: Path, servers: Servers, console: Console
):
    assert await demonstrate(choose(recording, datetime.now(UTC)), servers, console)
    text = said(console)
    assert "The routes are left out: hardly any post is new to this user" in text
    assert [line.split()[0] for line in part(text, "Checked")] == ["ok"] * 4


async def test_the_demo_says_how_far_it_is_in_a_file_and_draws_it_in_a_terminal(
    connection: Connection,
):
    await connection.execute(
        "INSERT INTO embedding.runs (id, window_start, window_end, progressed_at, finished_at,"
        " chains, users, pages) VALUES (gen_random_uuid(), now(), now(), now(), now(), 1, 70, 7)"
    )
    for terminal, expected in ((False, "  7 of 7 pages, 70 of 70 users"), (True, "7/7 pages")):
        console = Console(file=io.StringIO(), width=80, force_terminal=terminal, color_system=None)
        with shown(console) as show:
            await follow(connection, show, seconds=5)
        assert expected in said(console)


async def test_a_run_is_followed_until_it_ends_and_not_the_one_before(connection: Connection):
    await connection.execute(
        "INSERT INTO embedding.runs (id, window_start, window_end, progressed_at, finished_at,"
        " chains, users, pages) VALUES (gen_random_uuid(), now(), now(), now(), now(), 1, 70, 7)"
    )
    before = await last_run(connection)
    with pytest.raises(Failure, match="it was not even planned"):
        await follow(connection, lambda _: None, seconds=0.2, after=before)
    assert await follow(connection, lambda _: None, seconds=5) == before


async def test_a_run_that_does_not_end_ends_the_demo_with_what_the_functions_said(
    servers: Servers, console: Console
):
    with pytest.raises(Failure, match=r"expected the run to end within 0.3 s: ") as caught:
        await demonstrate(small(), servers, console, seconds=0.3)
    title, *lines = caught.value.__notes__
    assert title == "what the functions said last:"
    assert 1 <= len(lines) <= 8


def test_a_claim_that_does_not_hold_makes_the_demo_fail(
    recording: Path, capsys: pytest.CaptureFixture[str]
):
    async def demonstrate_swapped(_: World, servers: Servers, console: Console) -> bool:
        return await demonstrate(swapped(small()), servers, console)

    assert run(demonstrate_swapped, [str(recording)]) == 1
    checked = part(capsys.readouterr().out, "Checked")
    [broken] = [line for line in checked if not line.startswith("  ok ")]
    assert re.fullmatch(r"  FAILED  strongest taste .* expected 80% and 3 times chance", broken)


def test_a_folder_without_a_data_set_is_one_clear_line(capsys: pytest.CaptureFixture[str]):
    assert run(demonstrate, ["nowhere"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert re.fullmatch(r"expected a recorded data set in nowhere: .*items.csv'\n", said.err)


@pytest.mark.skipif(not RECORDED.is_dir(), reason="the recorded data set lies beside a checkout")
async def test_the_demo_shows_the_nearest_titles_of_recorded_data(
    servers: Servers, console: Console
):
    assert await demonstrate(choose(RECORDED, datetime.now(UTC)), servers, console)
    text = said(console)
    assert "555 recorded users" in text
    assert re.search(r"\d+  users were skipped: fewer than 3 posts acted on in 365 days", text)
    assert len(part(text, "posts nearest to the vector")) == 5
    assert len(part(text, "best posts not seen yet")) == 5
    assert len(part(text, "most similar users, with their posts in common")) == 3
    assert len(part(text, "/recommendations")) == 5
    assert [line.split()[0] for line in part(text, "Checked")] == ["ok"] * 11
    assert "tastes" not in text
    assert "topic" not in text


# A world of three users and five posts, of whom ANN has a vector, BEN too few posts, CAT no action.
ANN, BEN, CAT = (UUID(int=number) for number in (1, 2, 3))
POSTS = tuple(Post(UUID(int=100 + number), "", "ab"[number > 2], NOW, None) for number in range(5))


def act(user: UUID, number: int, kind: str = "like_post", days: float = 1) -> Action:
    return Action(user, POSTS[number].id, kind, NOW - timedelta(days=days))


LOG = (
    *(act(ANN, number) for number in (0, 1, 2)),
    *(act(BEN, number) for number in (0, 1, 2)),
    act(BEN, 0, "unlike_post"),
    act(BEN, 3, "hide_post"),
    act(BEN, 4),
    act(BEN, 3, days=91),
)
WORLD = World(
    (ANN, BEN, CAT),
    POSTS,
    np.stack([axis(0), axis(0, 9), axis(0, 8), axis(1), axis(1) * 0]),
    LOG,
    {ANN: ("a",), BEN: ("b",), CAT: ("b",)},
)
OUTCOME = Outcome(
    pages=1,
    users=2,
    began=NOW,
    seconds=1.0,
    counts={"processed": 1, "few_posts": 1},
    vectors={ANN: axis(0)},
    cached={key(ANN): Entry(axis(0), TTL_SECONDS)},
)


def test_a_portrait_is_of_the_busiest_and_suggests_only_what_is_new():
    portrait = portray(WORLD, {ANN: axis(0), CAT: axis(0, 1)})
    assert (portrait.user, portrait.actions, portrait.seen) == (ANN, 3, 3)
    assert portrait.topics == ("a", "b")
    assert [found.post for found in portrait.nearest] == list(POSTS[:4])
    assert [found.similarity for found in portrait.nearest] == pytest.approx(
        [1, 0.5**0.5, 0.5**0.5, 0]
    )
    assert [found.post for found in portrait.unseen] == [POSTS[3]]
    assert [(other.user, other.common) for other in portrait.neighbours] == [(CAT, 0)]
    assert portrait.neighbours[0].similarity == pytest.approx(0.5**0.5)


def test_a_portrait_is_rather_of_somebody_who_likes_several_topics():
    world = replace(WORLD, posts=WORLD.posts * 5, tastes=WORLD.tastes | {CAT: ("a", "b")})
    world = replace(world, vectors=np.tile(WORLD.vectors, (5, 1)))
    assert portray(world, {ANN: axis(0), CAT: axis(1)}).user == CAT


def broken(world: World, outcome: Outcome) -> list[str]:
    return [claim.text for claim in check(world, outcome, SETTINGS) if not claim.kept]


def test_a_claim_holds_of_a_run_as_it_should_be():
    assert broken(replace(WORLD, tastes={}), OUTCOME) == []


@pytest.mark.parametrize(
    ("change", "text"),
    [
        pytest.param({"users": 3}, "3 were listed, 2 done, 0 of them failed", id="user lost"),
        pytest.param(
            {"counts": {"processed": 1, "failed": 1}},
            "2 were listed, 2 done, 1 of them failed",
            id="user failed",
        ),
        pytest.param(
            {"vectors": {}, "cached": {}}, "1 have none, 0 should have none", id="no vector"
        ),
        pytest.param(
            {
                "vectors": {ANN: axis(0), BEN: axis(1)},
                "cached": {
                    key(user): Entry(vector, TTL_SECONDS)
                    for user, vector in ((ANN, axis(0)), (BEN, axis(1)))
                },
            },
            "0 have none, 1 should have none",
            id="vector of too few posts",
        ),
        pytest.param({"cached": {}}, "1 keys are missing, 0 are too many", id="key missing"),
        pytest.param(
            {"cached": OUTCOME.cached | {"user:x": Entry(axis(0), TTL_SECONDS)}},
            "0 keys are missing, 1 are too many, 0 differ",
            id="key too many",
        ),
        pytest.param(
            {"cached": {key(ANN): Entry(np.nextafter(axis(0), 2), TTL_SECONDS)}},
            "0 are too many, 1 differ",
            id="other number",
        ),
        pytest.param({"cached": {key(ANN): Entry(axis(0), 86_400)}}, "1 do not", id="a day's TTL"),
        pytest.param({"cached": {key(ANN): Entry(axis(0), -1)}}, "1 do not", id="no TTL"),
    ],
)
def test_a_claim_breaks_with_what_it_is_about(change: dict[str, Any], text: str):
    [found] = broken(replace(WORLD, tastes={}), replace(OUTCOME, **change))
    assert text in found


def test_a_vector_that_points_elsewhere_breaks_the_claim_about_tastes():
    vectors = {ANN: axis(1), BEN: axis(0)}
    cached = {key(user): Entry(vector, TTL_SECONDS) for user, vector in vectors.items()}
    *_, found = broken(WORLD, replace(OUTCOME, vectors=vectors, cached=cached))
    assert found.startswith("strongest taste among top topics: ")


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Let programs that are started hear Ctrl-C, also where this one was started not to."""
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, usual)


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_ends_the_demo_without_a_traceback(recording: Path):
    with subprocess.Popen(  # noqa: S603  # our own command
        [sys.executable, "-m", "dev.demo", recording],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    ) as demo:
        assert demo.stdout
        assert any("The schedule fires" in line for line in demo.stdout)
        os.killpg(demo.pid, signal.SIGINT)  # a terminal sends it to every program in it
        rest, _ = demo.communicate(timeout=20)
    assert "Traceback" not in rest
    assert demo.returncode == 130


async def printed(capsys: pytest.CaptureFixture[str], text: str) -> list[str]:
    """Wait until a line with `text` is printed; return all lines since the last call."""
    lines: list[str] = []
    async with asyncio.timeout(20):
        while not any(text in line for line in lines):
            await asyncio.sleep(0.05)
            lines += capsys.readouterr().out.splitlines()
    return lines


async def output(line: str, environ: dict[str, str]) -> str:
    """Type a line into another terminal."""
    shell = await asyncio.create_subprocess_shell(
        line, cwd=ROOT, env=environ, stdout=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(20):
        said, _ = await shell.communicate()
    assert shell.returncode == 0
    return said.decode()


async def test_what_stays_up_prints_all_that_another_terminal_needs(
    servers: Servers, capsys: pytest.CaptureFixture[str]
):
    up = asyncio.create_task(stay_up(small(), servers, Console(width=100)))
    try:
        lines = await printed(capsys, "What the functions log")
        exports = (line.removeprefix("export ") for line in lines if line.startswith("export "))
        environ = dict(shlex.split(export)[0].split("=", 1) for export in exports)
        trigger, preview, _, psql = part("\n".join(lines), "and try")

        url = preview.removeprefix("curl ")
        async with httpx.AsyncClient(timeout=20) as client:
            assert len((await client.get(url)).json()["users"]) > 0
        python = trigger.replace(".venv/bin/python", shlex.quote(sys.executable))
        assert "published a start message" in await output(python, environ)
        await printed(capsys, '"status":"planned"')
        query = "SELECT count(*) FROM embedding.runs"
        assert await output(f"{psql} -Atc '{query}'", environ) == "1\n"
    finally:
        up.cancel()
        await asyncio.wait([up])


async def test_what_stays_up_takes_another_port_where_its_own_is_taken():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        assert free(number) == 0
    assert free(number) == number
