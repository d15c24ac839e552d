import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from evaluation.bootstrap import Interval
from evaluation.findings import CUTS
from evaluation.folder import read_folder
from evaluation.split import at_share
from evaluation.trial import METRICS, attempt, pool
from evaluation.variants import changed, shipped
from evaluation.words import judged
from lib.embedding.schemes import BASELINE, CENTRED
from tests.evaluation.folders import write_folder

ROOT = Path(__file__).parents[2]
QUANTUM = ROOT.parent / "shared" / "data" / "quantum_se"
PICTURE = b"\x89PNG"


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603  # our own program
        [sys.executable, "-m", "evaluation", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},  # the machine is shared with other tests
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.mark.timeout(240)
def test_two_runs_leave_the_same_files_and_name_no_place_on_the_machine(tmp_path: Path):
    folder = write_folder(tmp_path / "tiny", users=20, items=50, actions=500)
    pages = []
    for name in ("one", "two"):
        into = tmp_path / name
        into.mkdir()
        done = run(folder, "--into", into)
        assert done.returncode == 0, done.stderr
        pages.append([(into / file).read_bytes() for file in ("RESULTS.md", "quality.png")])
    assert pages[0] == pages[1]
    page, picture = pages[0]
    assert picture.startswith(PICTURE)
    text = page.decode()
    assert str(tmp_path) not in text
    assert "from `tiny`. Tiny. Made up, by a test (CC0)." in text.replace("\n", " ")
    assert "nan" not in text
    for title in re.findall(r"^## (.*)$", text, re.MULTILINE):
        assert title in done.stdout


@pytest.mark.parametrize("exists", [True, False], ids=["empty", "absent"])
def test_a_folder_that_is_no_data_set_is_named_and_fails(tmp_path: Path, exists: bool):  # noqa: FBT001  # a case
    folder = tmp_path / "nothing"
    if exists:
        folder.mkdir()
    done = run(folder, "--into", tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith(f"evaluation: expected a data set in {folder}")
    assert not (tmp_path / "RESULTS.md").exists()


@pytest.mark.parametrize(
    ("users", "actions", "expected"),
    [
        (9, 12, "expected users with 3 posts before and one after a cut, got none"),
        (9, 200, "expected more than 10 users with a vector, got 9"),
    ],
    ids=["actions", "users"],
)
def test_too_little_to_judge_is_said_and_fails(
    tmp_path: Path, users: int, actions: int, expected: str
):
    done = run(write_folder(tmp_path / "tiny", users=users, items=30, actions=actions))
    assert done.returncode == 1
    assert done.stderr == f"evaluation: {expected}\n"


def test_every_contender_is_judged_on_the_same_cases(tmp_path: Path):
    dataset = read_folder(write_folder(tmp_path / "tiny", users=20, items=50, actions=500))
    variants = (*shipped(), *changed(dataset))
    trials = [attempt(dataset, at_share(dataset, share), variants) for share in (0.5, 0.7)]
    pooled = pool("both", trials)
    assert len(pooled.users) == sum(len(trial.users) for trial in trials) > 20
    assert pooled.people < len(pooled.users)
    assert {*pooled.figures} > {variant.name for variant in variants}
    for rows in pooled.figures.values():
        assert rows.shape == (len(METRICS), len(pooled.users))
        assert np.isfinite(rows).all()
    few = pooled.where(pooled.posts < np.median(pooled.posts))
    assert 0 < len(few.users) < len(pooled.users)
    assert few.means(BASELINE.label)[0] == few.figures[BASELINE.label][0].mean()
    nothing = pooled.over(BASELINE.label, BASELINE.label, "MRR")
    assert (nothing.mean, nothing.lower, nothing.upper) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("interval", "said"),
    [
        (Interval(0.2, 0.1, 0.3), "better by +0.2000 (+0.1000 to +0.3000)"),
        (Interval(-0.2, -0.3, -0.1), "worse by -0.2000 (-0.3000 to -0.1000)"),
        (Interval(0.2, -0.1, 0.5), "not shown to differ, +0.2000 (-0.1000 to +0.5000)"),
        (Interval(0.2, 0.0, 0.5), "not shown to differ, +0.2000 (+0.0000 to +0.5000)"),
    ],
    ids=["better", "worse", "open", "at_zero"],
)
def test_a_difference_is_called_one_only_if_its_interval_leaves_out_0(
    interval: Interval, said: str
):
    assert judged(interval) == said


@pytest.mark.skipif(not QUANTUM.is_dir(), reason="the data set quantum_se is not on this machine")
def test_centring_is_worth_something_on_real_data():
    """At the four cuts; RESULTS.md tells at which others it is not shown."""
    dataset = read_folder(QUANTUM)
    trials = [attempt(dataset, at_share(dataset, share), shipped()) for share in CUTS]
    main = pool("four cuts", trials).with_enough()
    found = main.over(CENTRED.label, BASELINE.label, "nDCG@10")
    assert found.lower > 0
    assert main.people > 40
