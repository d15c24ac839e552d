"""The status and the metrics of real runs, over HTTP, beside what the tables hold."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import yaml
from asyncpg import Connection
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from dev.ageing import age_runs
from dev.stack import ADMIN_TOKEN, API_TOKEN, ROOT, Stack
from lib.commands.status import link
from lib.store.vectors import SAMPLE
from tests.conftest import Start, trigger
from tests.scene import MODEL, build

USERS = 60


async def ask(stack: Stack, path: str, token: str = API_TOKEN, **query: str) -> httpx.Response:
    async with httpx.AsyncClient(base_url=stack.app_url, timeout=60) as http:
        headers = {"Accept": "application/json"}
        headers |= {"Authorization": f"Bearer {token}"} if token else {}
        return await http.get(path, headers=headers, params=query)


async def run(stack: Stack, connection: Connection) -> None:
    """Have one run worked off, as if the last one were long ago."""
    await age_runs(connection, 8000)
    await trigger(stack)
    await stack.broker.drain()


async def status(stack: Stack) -> dict[str, Any]:
    answer = await ask(stack, "/api/status")
    assert answer.status_code == 200, answer.text
    return answer.json()


def families(text: str) -> dict[str, Metric]:
    return {family.name: family for family in text_string_to_metric_families(text)}


def samples(text: str) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in families(text).values()
        for sample in family.samples
    }


@pytest.mark.timeout(180)
async def test_status_and_metrics_say_what_the_tables_hold(start: Start, connection: Connection):
    stack = await start({"PAGE_SIZE": "25"})
    scene = await build(connection, users=USERS)
    await run(stack, connection)
    await connection.executemany(
        "INSERT INTO embedding.due VALUES ($1, 'rebuild')", [(user,) for user in scene.users]
    )
    await run(stack, connection)
    said = await status(stack)
    newest, first = said["runs"]
    vectors = await connection.fetchval("SELECT count(*) FROM user_embeddings")
    assert newest["work"]["outcomes"]["processed"] == vectors > 0
    assert (newest["users_left"], newest["work"]["pages"]) == (0, 3)
    assert newest["coverage"] == pytest.approx(vectors / USERS)
    assert first["coverage"] == 0
    # nobody did anything: nobody's vector moved
    assert sum(newest["work"]["drift"]["counts"]) <= 3 * SAMPLE
    assert newest["work"]["drift"]["counts"][0] > 0
    assert sum(newest["work"]["drift"]["counts"][1:]) == 0
    assert all(newest["work"]["phases"][name] > 0 for name in ("read", "aggregate", "write"))
    assert newest["arms"] == [
        {
            "model_version": "all-MiniLM-L6-v2",
            "vectors": vectors,
            "scheme": "baseline@1",
            "name": None,
        }
    ]
    assert said["totals"]["work"]["outcomes"]["processed"] == 2 * vectors
    assert said["totals"]["finished"] == 2

    answer = await ask(stack, "/api/metrics", ADMIN_TOKEN)
    assert answer.headers["content-type"].startswith("text/plain; version=")
    found = samples(answer.text)
    assert found["user_embeddings_users_total", "processed"] == 2 * vectors
    assert found["user_embeddings_runs_total", "finished"] == 2
    assert found["user_embeddings_pages_total",] == 6
    assert found["user_embeddings_run_open",] == 0
    assert found["user_embeddings_coverage_ratio",] == pytest.approx(vectors / USERS)
    assert found["user_embeddings_qstash_up",] == 1
    assert found["user_embeddings_schedule_live",] == 0
    assert list(faults(answer.text)) == []
    scraped = {name for name, *_ in found}
    for expression in alarms().values():
        named = set(re.findall(r"user_embeddings_\w+", expression))
        conditional = {"user_embeddings_last_tick_timestamp_seconds"}
        assert named
        assert named - scraped <= conditional, expression


async def test_arms_are_named_as_the_experiment_names_them(start: Start, connection: Connection):
    """Those of a run, with the vectors that each of them made; and in the metrics."""
    stack = await start({"EMBEDDING_EXPERIMENT": "one:baseline=1,decay=1"})
    await build(connection, users=USERS)
    await run(stack, connection)
    stored = dict(
        await connection.fetch("SELECT model_version, count(*) FROM user_embeddings GROUP BY 1")
    )
    [said] = (await status(stack))["runs"]
    named = {(arm["name"], arm["scheme"]): arm["vectors"] for arm in said["arms"]}
    decayed = f"{MODEL}/decay@1"
    assert named == {
        ("baseline", "baseline@1"): stored[MODEL],
        ("decay", "decay@1"): stored[decayed],
    }
    found = samples((await ask(stack, "/api/metrics")).text)
    made = "user_embeddings_last_run_vectors"
    assert found[made, "baseline", MODEL, "baseline@1"] == stored[MODEL]
    assert found[made, "decay", decayed, "decay@1"] == stored[decayed]


def faults(text: str) -> Iterator[str]:
    """Yield where metrics are not as Prometheus would have them."""
    for name, family in families(text).items():
        if not family.documentation.endswith("."):
            yield f"{name}: no sentence"
        if family.type == "unknown":
            yield f"{name}: no type"
        if re.search(r"_(ms|minutes|hours|days|percent|kb)(_|$)", name):
            yield f"{name}: no base unit"
        if (family.type == "counter") != all(s.name.endswith("_total") for s in family.samples):
            yield f"{name}: _total is for counters, and for all of them"
        if any(sample.timestamp is not None for sample in family.samples):
            yield f"{name}: a timestamp"


def alarms() -> dict[str, str]:
    document = yaml.safe_load((ROOT / "docs" / "alarms.yaml").read_text())
    return {rule["alert"]: rule["expr"] for group in document["groups"] for rule in group["rules"]}


def test_alarm_says_how_long_how_bad_and_what_to_do():
    document = yaml.safe_load((ROOT / "docs" / "alarms.yaml").read_text())
    rules = [rule for group in document["groups"] for rule in group["rules"]]
    assert len(alarms()) == len(rules) > 7
    operators = r"[-+*/<>()\[\]{},=]|==|!=|<=|>="
    number = r"\d+(?:\.\d+)?[smhd]?"
    text = r'"[^"]*"'
    word = r"[a-z_]+"
    for rule in rules:
        assert re.fullmatch(r"\d+[mh]", rule["for"])
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert set(rule["annotations"]) == {"summary", "runbook"}
        assert re.fullmatch(rf"(?:\s|{operators}|{number}|{text}|{word})+", rule["expr"])
        assert rule["expr"].count("(") == rule["expr"].count(")")


async def test_status_in_the_middle_of_a_run_says_how_far_it_is(
    start: Start, connection: Connection
):
    stack = await start({"PAGE_SIZE": "25"})
    await build(connection, users=USERS)
    await stack.broker.deliver(await trigger(stack))
    [page] = stack.broker.pending()
    await stack.broker.deliver(page.message_id)
    [run] = (await status(stack))["runs"]
    text = (await ask(stack, "/api/metrics")).text
    assert (run["users"], run["users_left"]) == (USERS, USERS - 25)
    assert (run["finished_at"], run["work"]["pages"], run["pages"]) == (None, 1, 3)
    found = samples(text)
    assert found["user_embeddings_run_open",] == 1
    assert found["user_embeddings_run_users_left",] == USERS - 25
    assert list(faults(text)) == []


@pytest.mark.parametrize(
    "path",
    [
        *("/api/status", "/api/metrics", "/api/status/users?id=nobody"),
        "/api/status/users/00000000-0000-4000-8000-000000000000",
        "/api/status/users/nobody?expires=4102444800&signature=0",
    ],
)
@pytest.mark.parametrize("token", ["", "not-a-token"])
async def test_stranger_learns_nothing(start: Start, path: str, token: str):
    stack = await start()
    answer = await ask(stack, path, token)
    assert (answer.status_code, answer.json()) == (401, {"error": "unauthorized"})


async def test_status_survives_qstash(start: Start):
    stack = await start({"QSTASH_URL": "http://127.0.0.1:1"})
    said = await status(stack)
    assert said["queue"]["trouble"].startswith("qstash is out of reach")
    assert samples((await ask(stack, "/api/metrics")).text)["user_embeddings_qstash_up",] == 0


async def test_link_opens_the_status_and_nothing_else(
    start: Start, capsys: pytest.CaptureFixture[str]
):
    stack = await start()
    assert link(stack.environ) == 0
    url = capsys.readouterr().out.strip()
    async with httpx.AsyncClient(timeout=60) as http:
        assert (await http.get(url)).status_code == 200
        assert (await http.get(url.replace("/api/status", "/api/metrics"))).status_code == 401
        assert (await http.get(url[:-1])).status_code == 401
