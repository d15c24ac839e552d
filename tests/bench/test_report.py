"""What is written about findings, without measuring anything."""

from dataclasses import replace
from pathlib import Path

import pytest

from bench import report
from bench.conditions import Conditions
from bench.contest import PAGE_SIZES, Standing
from bench.course import Course
from bench.findings import Findings
from bench.imports import Imports
from bench.machine import Machine
from bench.plot import plot_costs, plot_pages
from bench.scale import report as scale_report
from bench.scale.storage import INDEXES, TABLES, Size, Writing
from bench.schemes import Price, variants
from bench.spread import Spread
from bench.table import WIDTH, wrapped
from bench.targets import targets
from bench.traffic import Traffic
from bench.warmth import Warmth
from bench.world import World

MACHINE = Machine({"Postgres": "18"}, 2)


def spread(median: float) -> Spread:
    return Spread(median, median / 2, median * 2)


def standing(round_trip: float, *, cached: bool) -> Standing:
    return Standing(
        round_trip,
        cached,
        loop=spread(20),
        floor=None if cached else spread(0.8),
        pages={size: spread(1) for size in PAGE_SIZES},
    )


def course(users: int, page: float) -> Course:
    pages = [page] * (users // 500)
    return Course(
        users,
        1,
        cached=False,
        planning=users / 1e6,
        total=1.0,
        pages=pages,
        memory=90.0,
        work_list=users * 100,
    )


FINDINGS = Findings(
    machine=MACHINE,
    world=World(20_000, 100, 50_000, 0),
    command="make bench",
    seconds=180.0,
    cold=spread(500),
    standings=[
        standing(0, cached=False),
        *(standing(seconds, cached=True) for seconds in (0, 0.001, 0.005)),
    ],
    phases={"READ_LOG": 0.1, "Redis": 0.1},
    pings={0.0: 0.1, 0.001: 1.1},
    prepared=standing(0, cached=False),
    traffic=[Traffic(pooled, 14, 11, 2, 1_200_000, 1) for pooled in (True, False)],
    conditions=Conditions(spread(1), spread(1.1), spread(1), 100.0, 90.0),
    imports=Imports(110.0, 100.0),
    whole=course(20_000, 80.0),
    warmths=[Warmth(0.3, 0.8), Warmth(0.2, 0.9)],
    prices={
        name: Price(scheme, spread(0.5), spread(1.9 if scheme.interests else 1.4))
        for name, scheme in variants().items()
    },
    disagreement=0.0,
)

SCALE = scale_report.Findings(
    machine=MACHINE,
    command="make bench-scale",
    seconds=600.0,
    posts=50_000,
    actions=20,
    window=10,
    page_size=500,
    courses=[course(10_000, 80.0), course(1_000_000, 88.0)],
    sizes={users: {name: Size(1, 2) for name in TABLES} for users in (10_000, 1_000_000)},
    writing=Writing(
        1000,
        200,
        dict.fromkeys(INDEXES, 86),
        dict.fromkeys(INDEXES, 105),
        spread(12),
        spread(6),
    ),
)


def test_page_of_results_names_the_command_and_every_number():
    assert "`make bench`" in report.introduction(FINDINGS)
    page = "\n".join(table.markdown() for table in report.tables(FINDINGS))
    for shown in (
        "20.0 times",
        "1,000",
        "READ_LOG 100",
        "read actions",
        "recommended@1, without interests | 0.500 (0.250 to 1.000) | 1.40",
        "11",
        "cost.svg",
        "110",
        "80.0%",
    ):
        assert shown in page


def test_targets_are_judged_by_what_was_found():
    kept = {target.what: target.kept for target in targets(FINDINGS)}
    assert list(kept.values()) == [
        True,  # 20 times without Redis
        True,  # and on larger pages
        True,  # 20 times with it, near
        False,  # 20 times, 1 ms away
        False,  # 20 times, 5 ms away
        True,  # 1.25 times the floor
        False,  # 1,000 users a second
        False,  # and on larger pages
        False,  # decay: 1.4 times the baseline
        False,  # centred
        False,  # recommended without interests
        True,  # recommended: 1.9 times, with interests
        True,
        True,
        True,
        True,
        True,
    ]


def test_page_of_scale_names_the_command_and_every_size():
    assert "`make bench-scale`" in scale_report.introduction(SCALE)
    page = "\n".join(table.markdown() for table in scale_report.tables(SCALE))
    for shown in ("10,000", "1,000,000", "1.10", "105", "pages.svg"):
        assert shown in page


@pytest.mark.parametrize(
    ("change", "missed"),
    [
        pytest.param({}, 0, id="flat"),
        pytest.param({"pages": [80.0] * 1999 + [120.0]}, 1, id="a slow last page"),
        pytest.param({"pages": [120.0] * 2000}, 1, id="slower than a small run"),
        pytest.param({"memory": 201.0}, 2, id="memory that grows"),
        pytest.param({"planning": 2.0}, 1, id="a plan that grows faster than its users"),
    ],
)
def test_scale_is_missed_by_what_grows(change: dict[str, object], missed: int):
    large = replace(SCALE.courses[1], **change)
    found = list(scale_report.targets(replace(SCALE, courses=[SCALE.courses[0], large])))
    assert [target.kept for target in found].count(False) == missed


@pytest.mark.parametrize("text", [report.introduction(FINDINGS), scale_report.introduction(SCALE)])
def test_texts_fit_the_page(text: str):
    assert max(map(len, wrapped(text).splitlines())) <= WIDTH


def test_plots_are_the_same_for_the_same_findings(tmp_path: Path):
    for name in ("one", "two"):
        plot_costs(FINDINGS.standings, tmp_path / f"{name}-cost.svg")
        plot_pages(SCALE.lone, tmp_path / f"{name}-pages.svg")
    for kind in ("cost", "pages"):
        one, two = (tmp_path / f"{name}-{kind}.svg" for name in ("one", "two"))
        assert one.read_bytes() == two.read_bytes()
        assert one.read_text().count("<svg") == 1
