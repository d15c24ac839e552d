import re
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import asyncpg
import numpy as np
import pytest

from bench.sizing.costs import costs, usage
from bench.sizing.counts import Load
from bench.sizing.duration import MEASURED
from dev.load import load
from dev.stack import ROOT
from dev.world import invent
from evaluation.live import read_sample, session
from evaluation.trial import METRICS, Trial
from evaluation.tryout.__main__ import page
from evaluation.tryout.findings import Findings, find_out
from evaluation.tryout.indexes import find_indexes, wanted
from evaluation.tryout.kinds import orphans, unknown
from evaluation.tryout.people import People, people
from evaluation.tryout.worth import CONTENDERS, Worth, worth
from lib.embedding.schemes import BASELINE, CENTRED
from tests.evaluation import small
from tests.reference import Action, interest_vector
from tests.scene import MODEL, act, build, embed

LOOKBACK = timedelta(days=90)
DAY = timedelta(days=1)


def quietly(_: str) -> None:
    pass


async def tried(url: str) -> Findings:
    return await find_out(url, LOOKBACK, quietly, seconds=30)


async def counted(url: str) -> People:
    async with session(url) as opened:
        return people(await read_sample(opened, "small", LOOKBACK))


async def test_users_who_would_get_a_vector_are_those_the_specification_gives_one(
    bare: asyncpg.Connection, bare_url: str
):
    scene = await build(bare, users=80, posts=30)
    for post in scene.posts[:4]:
        await embed(bare, post, None)
    for post in scene.posts[4:6]:
        await embed(bare, post, np.ones(384), model="other")
    lapsed = uuid4()
    await bare.execute("INSERT INTO users VALUES ($1)", lapsed)
    for post in scene.posts[9:14]:
        await act(bare, lapsed, post, at=datetime.now(UTC) - 100 * DAY)
    found = await counted(bare_url)
    rows = await bare.fetch("SELECT id, user_id, post_id, action_type, created_at FROM action_log")
    log = [Action(*row.values()) for row in rows]
    embeddings = {
        row["post_id"]: row["embedding"].to_list()
        for row in await bare.fetch("SELECT * FROM post_embeddings WHERE model_version = $1", MODEL)
        if row["embedding"] is not None
    }
    now = datetime.now(UTC)
    for least, number in found.getting.items():
        made = [
            interest_vector(
                [action for action in log if action.user_id == user], embeddings, now, minimum=least
            )
            for user in (*scene.users, lapsed)
        ]
        assert number == sum(vector is not None for vector in made)
    assert 0 < found.getting[5] < found.getting[3] < found.getting[1] < found.users
    assert found.getting[3] + sum(found.reasons.values()) == found.users


async def test_why_others_would_get_none_is_told_by_the_user(
    bare: asyncpg.Connection, bare_url: str
):
    users = [uuid4() for _ in range(8)]
    posts = [uuid4() for _ in range(9)]
    await bare.executemany("INSERT INTO users VALUES ($1)", [(user,) for user in users[:7]])
    await bare.executemany("INSERT INTO posts (id) VALUES ($1)", [(post,) for post in posts])
    east = np.eye(384)[0]
    for post in posts[:5]:
        await embed(bare, post, east)
    await embed(bare, posts[5], -5 * east)
    await embed(bare, posts[6], east, model="other")
    await embed(bare, posts[7], 0 * east)
    histories = [
        [0, 1, 2, 3, 4],  # a vector by any minimum
        [0, 1, 2],  # by 3
        [0, 1],  # by 1
        [0, 1, 8],
        [0, 6, 1],
        [7, 0, 1],
        [0, 1, 2, 3, 4, 5],  # they come to nothing
        [0, 1, 2],  # not in users
    ]
    for user, history in zip(users, histories, strict=True):
        for place in history:
            await act(bare, user, posts[place])
    await act(bare, users[2], posts[2], "like_post", datetime.now(UTC) - DAY)
    await act(bare, users[2], posts[2], "unlike_post")
    await act(bare, users[2], posts[3], "hide_post")
    found = await counted(bare_url)
    assert found.getting == {1: 6, 3: 2, 5: 1}
    assert found.reasons == {
        "acted on fewer than 3 posts": 1,
        "posts without an embedding": 1,
        "posts embedded by another model": 1,
        "posts with an odd vector": 1,
        "posts that cancel each other out": 1,
        "not in users": 1,
    }


async def test_average_run_is_that_of_the_two_hours_that_were(
    bare: asyncpg.Connection, bare_url: str
):
    await build(bare, users=50)
    async with session(bare_url) as opened:
        sample = await read_sample(opened, "small", LOOKBACK)
        now = await opened.value("", "SELECT now()")
    found = people(sample)
    active, done = defaultdict(set), defaultdict(int)
    for row in await bare.fetch("SELECT * FROM action_log"):
        active[(now - row["created_at"]) // timedelta(hours=2)].add(row["user_id"])
        done[row["user_id"]] += 1
    windows = max(active) + 1
    actives = [user for users in active.values() for user in users]
    assert found.active == pytest.approx(len(actives) / windows)
    assert found.actions == pytest.approx(sum(done[user] for user in actives) / len(actives))
    assert found.made <= found.active


async def test_indexes_are_missing_until_they_are_there_by_whatever_name(
    bare: asyncpg.Connection, bare_url: str
):
    await build(bare)
    log, version = "action_log_user_created", "post_embeddings_version"
    every = {index.name for index in wanted()}
    assert len(every) == 3

    async def missing() -> dict[str, int]:
        async with session(bare_url) as opened:
            found = await find_indexes(opened, await read_sample(opened, "small", LOOKBACK))
        assert (found.views, found.bare, found.referable) == ((), (), True)
        return {index.name: size for index, size in found.missing.items()}

    before = await missing()
    assert set(before) == every
    actions = await bare.fetchval("SELECT count(*) FROM action_log")
    assert before[log] == 105 * actions
    assert before[version] == 90 * 40
    await bare.execute("CREATE INDEX ON action_log (user_id, created_at)")
    await bare.execute(
        "CREATE INDEX ON action_log (created_at) INCLUDE (user_id) WHERE action_type = 'x'"
    )
    assert set(await missing()) == every
    await bare.execute(
        "CREATE INDEX ON action_log (user_id, created_at, id) INCLUDE (action_type, post_id)"
    )
    assert set(await missing()) == every - {log}
    text = (ROOT / "db" / "indexes.sql").read_text().replace("CONCURRENTLY", "")
    await bare.execute(text)
    assert await missing() == {}


async def test_users_without_a_key_cannot_be_referred_to(bare: asyncpg.Connection, bare_url: str):
    await build(bare)
    await bare.execute("ALTER TABLE users DROP CONSTRAINT users_pkey")
    findings = await tried(bare_url)
    assert not findings.indexes.referable
    assert findings.indexes.bare == ("users",)
    assert "users has no primary key (id)" in page(findings)
    await bare.execute("ALTER TABLE users RENAME TO accounts")
    await bare.execute("CREATE VIEW users AS SELECT * FROM accounts")
    findings = await tried(bare_url)
    assert findings.indexes.views == ("users",)
    assert "users is a view: a foreign key names it, so it must be a table." in page(findings)


def test_unknown_types_are_matched_by_their_stems():
    types = [
        "like_post",
        "liked",
        "VIEW",
        "unliked",
        "shares",
        "report_post",
        "unshare",
        "",
        "hide",
    ]
    assert unknown(dict.fromkeys(types, 1)) == {
        "liked": "like_post",
        "VIEW": "view_post",
        "unliked": "unlike_post",
        "shares": "share_post",
        "report_post": None,
        "unshare": None,
        "": None,
        "hide": "hide_post",
    }


def test_retractions_are_orphans_unless_something_came_before_them():
    data = small.dataset(
        [
            (0, 0, "unlike_post", 1),
            (0, 0, "like_post", 2),
            (0, 0, "unlike_post", 3),
            (0, 0, "unlike_post", 4),
            (0, 1, "unlike_post", 5),
            (1, 0, "unlike_post", 5),
        ],
        [[1.0], [1.0]],
    )
    assert orphans(data) == {"unlike_post": (5, 3)}


FIGURES = {
    "better": (0.3, 0.0, r"better by 0\.300 \(0\.2\d\d to 0\.3\d\d\)"),
    "worse": (-0.3, 0.0, r"worse by 0\.300 \(0\.2\d\d to 0\.3\d\d\)"),
    "neither": (0.0, 1.0, r"no difference shown \(-0\.\d+ to \+0\.\d+\)"),
}


@pytest.mark.parametrize(("shift", "spread", "words"), FIGURES.values(), ids=FIGURES)
def test_verdict_follows_the_interval(shift: float, spread: float, words: str):
    rng = np.random.default_rng(3)
    own = rng.random((len(METRICS), 100))
    noise = np.tile([0.1 + spread, -0.1 - spread], 50)
    figures = {name: own + (shift + noise) * (name == CENTRED.label) for name in CONTENDERS}
    counts = np.full(100, 9)
    found = Worth(Trial("made up", np.arange(100), counts, counts, figures, {}), 100)
    assert re.fullmatch(words, found.verdict(CENTRED.label))
    assert found.verdict(BASELINE.label) == ""


def test_trial_takes_no_more_users_than_there_is_time_for_and_others_at_each_cut():
    rng = np.random.default_rng(4)
    rows = [
        (user, int(post), "like_post", day + rng.random())
        for user in range(200)
        for day, post in enumerate(rng.permutation(100)[:20])
    ]
    data = small.dataset(rows, rng.normal(size=(100, 384)).tolist())
    few, all_of_them = worth(data, cells=100 * 20), worth(data)
    assert few.trial is not None
    assert len(few.trial.users) == 80
    assert few.people == 80
    assert all_of_them.people == 200


async def test_page_tells_a_stranger_what_there_is(bare: asyncpg.Connection, bare_url: str):
    scene = await build(bare, users=12)
    await bare.execute(
        "UPDATE post_embeddings SET model_version = 'mine' WHERE post_id <> $1", scene.posts[0]
    )
    for kind in ("liked", "\x1b[2J", "unlike_post"):
        await act(bare, uuid4(), scene.posts[1], kind, datetime.now(UTC) + DAY)
    findings = await tried(bare_url)
    text = page(findings)
    for line in (
        r"^  liked +1  unknown; like_post\?$",
        r"^  '\\x1b\[2J' +1  unknown$",
        r"^  \d+ of \d+ unlike_post in the sample have nothing before them to take back\.$",
        r"^  3 actions are dated in the future",
        r"^  mine +39  MODEL_VERSION$",
        rf"^  {MODEL} +1  not used$",
        r"not: not in users$",
        r"^  action_log_created +1 MB$",
        r"^  Too few users to say: 20 are needed",
        r"-f db/schema\.sql$",
        r"-f db/indexes\.sql$",
        r"with MODEL_VERSION=mine\.$",
    ):
        assert re.search(line, text, re.MULTILINE), line
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) < 110


async def test_month_costs_what_sizing_says_of_the_average_run(
    bare: asyncpg.Connection, bare_url: str
):
    scene = await build(bare, users=10, posts=20)
    await bare.execute("DELETE FROM action_log")
    for place, user in enumerate(scene.users):
        for post in scene.posts[: 4 if place < 6 else 1]:
            await act(bare, user, post)
    found = (await tried(bare_url)).month
    assert found.load == Load(10, actions=2.8, posts=20, skipped=4)
    offers = costs(usage(found.load, MEASURED))
    names = [(offer.service.name, offer.plan.name) for offer in offers if offer.plan]
    assert [(row[0], row[1].split()[-1]) for row in found.rows[:3]] == names


async def test_hidden_rows_are_told(bare: asyncpg.Connection, reader_url: str):
    await build(bare)
    await bare.execute("ALTER TABLE action_log ENABLE ROW LEVEL SECURITY")
    await bare.execute("CREATE POLICY likes ON action_log USING (action_type = 'like_post')")
    text = page(await tried(reader_url))
    assert "Row level security may hide rows of action_log" in text


async def test_demo_shows_what_centring_is_worth(bare: asyncpg.Connection, bare_url: str):
    await load(bare, invent(datetime.now(UTC), users=400), MODEL)
    findings = await tried(bare_url)
    text = page(findings)
    assert re.search(r"^  centred@1 .*  better by 0\.\d+ \(0\.\d+ to 0\.\d+\)$", text, re.MULTILINE)
    assert re.search(r"^  random .*  worse by 0\.\d+", text, re.MULTILINE)
    assert re.search(r"EMBEDDING_SCHEME=\w+@1\.", text)
    assert findings.sample.accounts == 400
