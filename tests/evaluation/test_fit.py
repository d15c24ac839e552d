import math
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dev.load import load
from dev.world import invent
from evaluation.dataset import Actions, Dataset
from evaluation.findings import TooLittle
from evaluation.fit.choice import Choice, Fittings, choose
from evaluation.fit.findings import BLEND, METRIC, judge, renewed
from evaluation.fit.moment import Moment, newcomers
from evaluation.fit.search import (
    DAYS,
    DRAWS,
    PARTS,
    ROUNDS,
    SETS,
    SIGNALS,
    TRUST,
    Mix,
    climb,
    draw,
    neighbours,
)
from evaluation.fit.slices import LAST, Fitting, judged
from evaluation.fit.sources import DEMO, read
from evaluation.metrics import ndcg
from evaluation.split import DAY, at_time, midnight
from lib.blend import load_blend, write_blend
from lib.embedding.ranking import Blend
from lib.embedding.schemes import BASELINE, CENTRED, RECOMMENDED, WEIGHTS
from tests.conftest import CANARIES, assert_hidden, with_password
from tests.evaluation.folders import write_folder
from tests.evaluation.small import TYPES, Row, dataset
from tests.evaluation.test_live import ALL_THERE_IS
from tests.scene import MODEL

ROOT = Path(__file__).parents[2]
QUANTUM = ROOT.parent / "shared" / "data" / "quantum_se"
PICTURE = b"\x89PNG"
SEED = 3

type Taste = Callable[[np.random.Generator, np.ndarray, np.ndarray], int]


def hush(_: str) -> None:
    pass


def by_taste(rng: np.random.Generator, likings: np.ndarray, unseen: np.ndarray) -> int:
    found = rng.permutation(unseen)[:12]
    return int(found[likings[found].argmax()])


def by_age(_rng: np.random.Generator, _likings: np.ndarray, unseen: np.ndarray) -> int:
    return int(unseen[-1])


def by_popularity(rng: np.random.Generator, _likings: np.ndarray, unseen: np.ndarray) -> int:
    draws = 1.0 / (1 + unseen * 37 % 100) ** 1.5
    return int(rng.choice(unseen, p=draws / draws.sum()))


def world(choice: Taste, *, growing: bool) -> Dataset:
    """Let 40 users choose among the posts there are, for 100 days: 240, or two more every day."""
    rng = np.random.default_rng(8)
    created = np.maximum(0.0, np.arange(240) - 40) / 2 * growing
    vectors = rng.normal(size=(240, 8))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    likings = rng.normal(size=(40, 8)) @ vectors.T
    unseen = np.ones(likings.shape, np.bool_)
    rows: list[Row] = []
    for day in np.sort(100 * rng.random(900)).tolist():
        user = int(rng.integers(40))
        post = choice(rng, likings[user], np.flatnonzero(unseen[user] & (created <= day)))
        unseen[user, post] = False
        rows.append((user, post, "like_post", day))
    return dataset(rows, vectors.tolist(), created.tolist(), users=40)


WORLDS = {
    "similarity": world(by_taste, growing=False),
    "freshness": world(by_age, growing=True),
    "popularity": world(by_popularity, growing=False),
}


def chosen(data: Dataset, seed: int = SEED) -> Choice:
    return choose(data.name, Fittings([Fitting.of(data, CENTRED, seed)]), [0], seed, hush)


@pytest.mark.parametrize(("signal", "data"), WORLDS.items(), ids=WORLDS)
def test_the_fit_finds_the_only_thing_that_matters(signal: str, data: Dataset):
    found = chosen(data)
    means = {name: found.means[name,] for name in SIGNALS}
    assert found.chosen.signals == (signal,)
    assert max(means, key=lambda name: means[name]) == signal


def noise(rng: np.random.Generator, users: int = 12, posts: int = 40, rows: int = 500) -> Dataset:
    log: list[Row] = [
        (int(rng.integers(users)), int(rng.integers(posts)), str(rng.choice(TYPES)), float(day))
        for day in np.sort(rng.random(rows)) * 80
    ]
    created = np.full(posts, 80.0)
    for _, post, _, day in reversed(log):
        created[post] = day // 8 * 8  # so that many are of one age
    vectors = rng.normal(size=(posts, 8)) + 0.5
    vectors[0] = 0.0
    return dataset(log, vectors.tolist(), created.tolist(), users=users)


def with_another_end(data: Dataset) -> Dataset:
    """Return a dataset that is the same up to its last slice, with as many actions in that."""
    rng = np.random.default_rng(77)
    actions, last = data.actions, midnight(data, LAST)
    late = actions.at >= last
    user, post, kind = actions.user.copy(), actions.post.copy(), actions.kind.copy()
    for column, most in ((user, data.users), (post, len(data.posts)), (kind, len(data.types))):
        column[late] = rng.integers(most, size=late.sum())
    changed = replace(data, actions=Actions(user, post, kind, actions.at))
    assert 100 < late.sum() < len(late) / 2
    return changed


def test_nothing_of_the_last_slice_changes_the_fit():
    data = noise(np.random.default_rng(5), rows=1000)
    assert chosen(with_another_end(data)) == chosen(data)
    mix = Mix(8, 6, 6, 7.0, 7.0, 5.0).blend(0)
    figures = [
        Fitting.of(one, CENTRED, SEED).figures(mix) for one in (data, with_another_end(data))
    ]
    assert np.array_equal(*figures)
    assert figures[0].any()


def test_everything_fitted_on_comes_before_everything_judged_by():
    data = noise(np.random.default_rng(5), rows=1000)
    last = midnight(data, LAST)
    fitted = Fitting.of(data, CENTRED, SEED)
    late = data.actions.at >= last
    both = data.actions.user * len(data.posts) + data.actions.post
    for moment in fitted.moments:
        assert moment.split.cuts.max() < last
        owners, posts = np.divmod(moment.split.relevant, len(data.posts))
        assert np.isin(moment.split.users[owners] * len(data.posts) + posts, both[~late]).all()
    assert min(int(moment.split.cuts[0]) for moment in judged(data, CENTRED)) == last


def test_the_same_seed_fits_the_same_and_another_one_tries_other_blends():
    data = noise(np.random.default_rng(6))
    assert chosen(data) == chosen(data)
    rng = [np.random.default_rng(seed) for seed in (1, 1, 2)]
    drawn = [[draw(SIGNALS, one) for _ in range(20)] for one in rng]
    assert drawn[0] == drawn[1] != drawn[2]


days = st.sampled_from(DAYS)
mixes = st.builds(
    lambda cut, days, popular, trust: Mix(
        min(cut), max(cut) - min(cut), PARTS - max(cut), days, popular, trust
    ),
    st.tuples(st.integers(0, PARTS), st.integers(0, PARTS)),
    days,
    days,
    st.sampled_from(TRUST),
)


only_age = Mix(0, PARTS, 0, 7.0, 7.0, 5.0)


@pytest.fixture(scope="module")
def log() -> Dataset:
    return noise(np.random.default_rng(9))


@pytest.fixture(scope="module")
def moment(log: Dataset) -> Moment:
    return Moment.of(log, at_time(log, 45 * DAY), RECOMMENDED)


@given(mixes)
@example(only_age)
def test_the_quick_figure_is_that_of_the_full_ranking(moment: Moment, mix: Mix):
    found = moment.ndcg(mix.blend(1))
    assert found == pytest.approx(ndcg(moment.rank(mix.blend(1)), 10), abs=1e-12)


@given(mixes)
@example(only_age)
def test_the_quick_figure_is_that_of_a_slow_reference(log: Dataset, moment: Moment, mix: Mix):
    blend, split = mix.blend(1), moment.split
    for place in range(0, len(split.users), 5):
        user = int(split.users[place])
        ranked = slowly_ranked(log, user, blend, moment.similarities[place])
        wanted = slowly_wanted(log, user)
        gains = [1 / math.log2(2 + n) for n, post in enumerate(ranked[:10]) if post in wanted]
        best = sum(1 / math.log2(2 + n) for n in range(min(10, len(wanted))))
        assert moment.ndcg(blend)[place] == pytest.approx(sum(gains) / best)


def slowly_ranked(data: Dataset, user: int, blend: Blend, near: np.ndarray) -> list[int]:
    """Rank what existed at day 45 and the user had not seen, one post after the other."""
    cut, summed, seen = 45 * DAY, dict.fromkeys(range(len(data.posts)), 0.0), set()
    columns = (data.actions.user, data.actions.post, data.actions.kind, data.actions.at)
    for who, post, kind, at in zip(*(column.tolist() for column in columns), strict=True):
        if at < cut:
            left = 0.5 ** ((cut - at) / DAY / blend.popularity_days)
            summed[post] += WEIGHTS.get(TYPES[kind], 0.0) * left
            if who == user:
                seen.add(post)
    scores = {}
    for post in range(1, len(data.posts)):  # the first has no vector
        if data.created[post] < cut and post not in seen:
            age = (cut - int(data.created[post])) / DAY
            popular = math.log1p(summed[post]) / math.log1p(max(summed.values()))
            trusted = len(seen) / (len(seen) + blend.trust)
            scores[post] = (
                blend.similarity * trusted * float(near[post])
                + blend.freshness * 0.5 ** (age / blend.freshness_days)
                + blend.popularity * popular
            )
    return sorted(scores, key=lambda post: (-round(scores[post], 12), post))


def slowly_wanted(data: Dataset, user: int) -> set[int]:
    """Return what the user turned to from day 45 on, and did not take back."""
    cut, before, after = 45 * DAY, set(), {}
    columns = (data.actions.user, data.actions.post, data.actions.kind, data.actions.at)
    for who, post, kind, at in zip(*(column.tolist() for column in columns), strict=True):
        if who == user:
            if at < cut:
                before.add(post)
            elif TYPES[kind] in WEIGHTS:
                after.setdefault(post, []).append(TYPES[kind])
            elif TYPES[kind] == "unlike_post":
                after[post] = [one for one in after.get(post, []) if one != "like_post"]
    there = {post for post in range(1, len(data.posts)) if data.created[post] < cut}
    return {post for post, done in after.items() if done} & there - before


def test_users_without_a_vector_get_what_is_the_same_for_all():
    square = [(1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.6, 0.8), (0.8, 0.6)]
    few: list[Row] = [(0, 0, "like_post", 1), (0, 1, "view_post", 2), (2, 0, "hide_post", 2)]
    enough: list[Row] = [(1, post, "like_post", 3) for post in (0, 1, 2)]
    later: list[Row] = [(user, 4, "like_post", 9) for user in range(4)]
    data = dataset([*few, *enough, *later], square)
    found = Moment.of(data, at_time(data, 5 * DAY), BASELINE)
    assert found.split.users.tolist() == [0, 1, 2, 3]
    assert found.posts.ravel().tolist() == [2, 3, 1, 0]
    assert not found.similarities[[0, 2, 3]].any()
    assert found.similarities[1].any()
    assert newcomers(found.split).tolist() == [False, False, False, True]
    scores = found.scores(Blend(1, 0.5, 0.25, 0.25, 7.0, 7.0, 5.0))
    assert np.array_equal(scores[0], scores[3])


def test_hardly_any_history_is_fitted_on_and_none_is_not():
    data = noise(np.random.default_rng(5), users=200)
    fitted = Fitting.of(data, CENTRED, SEED)
    posts = np.concatenate([moment.posts[:, 0] for moment in fitted.moments])
    assert posts.min() == 1
    assert (posts < 3).any()
    assert any(newcomers(moment.split).any() for moment in judged(data, CENTRED))


def test_of_many_users_some_are_drawn(monkeypatch: pytest.MonkeyPatch):
    data = noise(np.random.default_rng(5), users=60)
    whole = Fitting.of(data, CENTRED, SEED)
    monkeypatch.setattr("evaluation.fit.slices.CELLS", 10 * len(data.posts))
    some = Fitting.of(data, CENTRED, SEED)
    assert [len(moment.split.users) for moment in some.moments] == [10] * len(some.moments)
    for few, all_of_them in zip(some.moments, whole.moments, strict=True):
        assert np.isin(few.split.users, all_of_them.split.users).all()
    again = Fitting.of(data, CENTRED, SEED)
    assert np.array_equal(again.owners, some.owners)
    assert not np.array_equal(Fitting.of(data, CENTRED, SEED + 1).owners, some.owners)


@given(st.sampled_from(SETS), st.integers(0, 1000))
def test_what_is_tried_has_its_signals_and_lies_on_the_grid(signals: tuple[str, ...], seed: int):
    mix = draw(signals, np.random.default_rng(seed))
    for found in (mix, *neighbours(mix)):
        blend = found.blend(4)
        assert found.signals == signals
        assert found == found.plain
        assert blend.version == 4
        assert blend.similarity + blend.freshness + blend.popularity == pytest.approx(1)
        assert min(blend.similarity, blend.freshness, blend.popularity) >= 0
        assert {blend.freshness_days, blend.popularity_days} <= {*DAYS}
        assert blend.trust in TRUST
    assert mix not in neighbours(mix)


def test_a_climb_ends_at_a_top_within_its_bounds():
    tried = []
    goal = Mix(11, 4, 5, 14.0, 2.0, 20.0)

    def score(mix: Mix) -> float:
        tried.append(mix)
        apart = abs(mix.similarity - 11) + abs(mix.freshness - 4)
        steps = [
            abs(grid.index(getattr(mix, name)) - grid.index(getattr(goal, name)))
            for name, grid in (
                ("freshness_days", DAYS),
                ("popularity_days", DAYS),
                ("trust", TRUST),
            )
        ]
        return -float(apart + sum(steps))

    assert climb(SIGNALS, score, np.random.default_rng(1)) == goal
    assert len(tried) < DRAWS + ROUNDS * 14


def test_of_equal_sets_the_smallest_is_chosen():
    """Where nobody finds anything, one standard error is 0 and all are as good."""
    data = noise(np.random.default_rng(5))
    fitting = Fitting.of(data, CENTRED, SEED)
    barred = [replace(one, barred=np.full_like(one.barred, np.inf)) for one in fitting.moments]
    nothing = replace(fitting, moments=tuple(barred))
    found = choose("nothing", Fittings([nothing]), [0], SEED, hush)
    assert len(found.chosen.signals) == 1


def test_datasets_fitted_on_together_count_alike():
    first = WORLDS["freshness"]
    second = noise(np.random.default_rng(5))
    fittings = Fittings([Fitting.of(one, CENTRED, SEED) for one in (first, second)])
    found = choose("both", fittings, [0, 1], SEED, hush)
    for signals, mix in found.best.items():
        each = [fittings.figures(place, mix).mean() for place in (0, 1)]
        assert found.means[signals] == pytest.approx(sum(each) / 2)
    errors = []
    best = found.best[max(SETS, key=lambda signals: found.means[signals])]
    for place, fitting in enumerate(fittings.all):
        figures = fittings.figures(place, best)
        spread = figures - figures.mean()
        sums = [spread[fitting.owners == user].sum() for user in np.unique(fitting.owners)]
        errors.append(sum(one**2 for one in sums) / len(figures) ** 2)
    assert found.error == pytest.approx(math.sqrt(sum(errors)) / 2)


@pytest.mark.parametrize(
    ("former", "version"),
    [(None, 1), ("same", 7), ("other", 8)],
    ids=["none", "unchanged", "changed"],
)
def test_a_version_counts_changes(former: str | None, version: int):
    found = Mix(10, 5, 5, 7.0, 7.0, 5.0).blend(0)
    before = None if former is None else replace(found, version=7)
    if before and former == "other":
        before = replace(before, trust=2.0)
    assert renewed(before, found) == replace(found, version=version)


@given(mixes, st.integers(1, 10**6))
def test_a_blend_comes_back_from_its_file(tmp_path_factory, mix: Mix, version: int):  # noqa: ANN001
    file = tmp_path_factory.getbasetemp() / "blend.json"
    write_blend(mix.blend(version), file)
    assert load_blend(file) == mix.blend(version)


@pytest.mark.skipif(not QUANTUM.is_dir(), reason="the data set quantum_se is not on this machine")
@pytest.mark.parametrize("name", [str(QUANTUM), DEMO], ids=["real", "made up"])
def test_the_blend_that_ships_does_no_harm(name: str):
    single = {
        "similarity": Mix(PARTS, 0, 0, 7.0, 7.0, 5.0),
        "freshness": Mix(0, PARTS, 0, 7.0, 7.0, 5.0),
        **{f"popularity {days}": Mix(0, 0, PARTS, 7.0, days, 5.0) for days in DAYS},
    }
    blends = {BLEND: load_blend()} | {name: mix.blend(0) for name, mix in single.items()}
    trial = judge(read(name), RECOMMENDED, blends)
    main = trial.where(trial.posts > 0)
    assert main.people > 40
    for other in single:
        assert main.over(BLEND, other, METRIC).upper >= 0


def test_the_page_has_the_weights_that_ship():
    blend = load_blend()
    weights = (blend.similarity, blend.freshness, blend.popularity)
    bends = (blend.freshness_days, blend.popularity_days, blend.trust)
    cells = [f"{weight:.2f}" for weight in weights] + [f"{bend:g}" for bend in bends]
    page = (ROOT / "evaluation" / "RANKING.md").read_text()
    assert f"| **{BLEND}** | {' | '.join(cells)} |" in page
    assert sum(weights) == 1


def run(*arguments: object, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603  # our own program
        [sys.executable, "-m", "evaluation.fit", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1", **environ},
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )


@pytest.mark.timeout(300)
def test_two_runs_leave_the_same_files_and_write_the_blend_only_when_asked(tmp_path: Path):
    folder = write_folder(tmp_path / "tiny", users=20, items=50, actions=500)
    blend, left = tmp_path / "blend.json", []
    for name in ("one", "two"):
        into = tmp_path / name
        done = run(folder, "--into", into, "--blend", blend)
        assert done.returncode == 0, done.stderr
        left.append([(into / file).read_bytes() for file in ("RANKING.md", "ranking.png")])
        assert not blend.exists()
    assert left[0] == left[1]
    text, picture = left[0]
    assert picture.startswith(PICTURE)
    assert str(tmp_path) not in text.decode()
    assert "nan" not in text.decode()
    former = Blend(6, 0.6, 0.2, 0.2, 7.0, 7.0, 5.0)
    write_blend(former, blend)
    for scheme in ("baseline", "centred@1"):
        before = load_blend(blend)
        done = run(folder, "--into", into, "--blend", blend, "--scheme", scheme, "--write")
        assert done.returncode == 0, done.stderr
        found = load_blend(blend)
        assert found == renewed(before, found)
        label = scheme.split("@")[0] + "@1"
        assert f"with vectors of `{label}`" in (into / "RANKING.md").read_text().replace("\n", " ")
    assert found.version in {7, 8}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("{tmp}/nothing",), "expected data sets in {tmp}/nothing"),
        (("demo", "--scheme", "better"), "expected one of baseline@1"),
        (("{tmp}/tiny",), "expected users who acted before and"),
        ((), "DATABASE_URL"),
    ],
    ids=["no folder", "no scheme", "too little", "nothing named"],
)
def test_what_cannot_be_fitted_is_said_and_fails(
    tmp_path: Path, arguments: tuple[str, ...], expected: str
):
    write_folder(tmp_path / "tiny", users=2, items=30, actions=12)
    filled = [one.format(tmp=tmp_path) for one in arguments]
    done = run(*filled, "--into", tmp_path / "results", DATABASE_URL="")
    assert done.returncode == 1
    assert done.stderr.startswith("make fit-ranking: ")
    assert expected.format(tmp=tmp_path) in done.stderr
    assert not (tmp_path / "results").exists()


def test_days_that_are_too_few_are_said():
    data = dataset([(0, 0, "like_post", 1.1), (0, 1, "like_post", 1.2)], [(1.0, 0.0)] * 2)
    with pytest.raises(TooLittle, match="on several days in small"):
        Fitting.of(data, CENTRED, SEED)


def test_a_blend_that_does_harm_is_not_written(tmp_path: Path):
    """Before the last slice only the newest posts matter, in it only the oldest."""
    folder = write_folder(tmp_path / "turned", users=40, items=200, actions=10)
    lines, begun = ["user_id,item_id,action,ts"], 1_500_000_000
    lines += [f"u{item % 40},i{item},like_post,{begun + item * 40_000}" for item in range(200)]
    for number in range(1600):
        second, turn = number * 5_000, number // 40 * 7
        newest = second // 40_000
        item = newest - number % 3 if number < 1280 else (number + turn) % 40
        lines.append(f"u{number % 40},i{max(0, item)},like_post,{begun + second + 1}")
    (folder / "interactions.csv").write_text("\n".join(lines))
    done = run(folder, "--into", tmp_path, "--blend", tmp_path / "blend.json", "--write")
    assert done.returncode == 1
    assert "not written: worse than a single signal on turned" in done.stderr
    assert (tmp_path / "RANKING.md").exists()
    assert "On `turned` it does harm beside" in (tmp_path / "RANKING.md").read_text()
    assert not (tmp_path / "blend.json").exists()


@pytest.mark.timeout(180)
async def test_a_fit_on_a_live_platform_only_reads(
    bare: asyncpg.Connection, reader_url: str, tmp_path: Path
):
    await load(bare, invent(datetime.now(UTC), users=80), MODEL)
    before = await bare.fetchrow(ALL_THERE_IS)
    done = run("--into", tmp_path, DATABASE_URL=with_password(reader_url))
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "RANKING.md").read_text()
    assert_hidden((page + done.stdout + done.stderr).encode(), CANARIES)
    text = " ".join(page.split())
    assert "from `a live platform`" in text
    assert "Read from a live database: all users who acted in the last 180 days" in text
    assert (tmp_path / "ranking.png").stat().st_size > 1000
    assert await bare.fetchrow(ALL_THERE_IS) == before
