"""The figures in tables."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from bench.table import Table
from evaluation.findings import NEIGHBOURS, OWN_CUT, Findings
from evaluation.trial import ENOUGH, NEWEST, POPULARITY, RANDOM, Trial
from evaluation.variants import changed, shipped
from evaluation.words import METRIC, spelt
from lib.embedding.schemes import BASELINE, CENTRED, RECOMMENDED

BLIND = (RANDOM, NEWEST, POPULARITY)
LENGTHS = ((1, ENOUGH - 1), (ENOUGH, 4), (5, 9), (10, 19), (20, 49), (50, None))


def tables(findings: Findings) -> Iterator[Table]:
    """Yield every table."""
    yield _contenders("All contenders", findings.main)
    yield _differences(findings)
    yield _cuts(findings)
    yield _variants(findings)
    yield _lengths(findings)
    yield _contenders(f"Each user cut apart, at {OWN_CUT:.0%}: leaks", findings.leaking, LEAKS)
    yield _neighbours(findings)
    yield _label_free(findings)


LEAKS = """
A second view, with more users. Each user's last actions are held out; all posts are candidates,
also those that did not exist yet, and the mean and popularity know what other users did later. Only
differences between schemes mean anything."""


def _contenders(title: str, trial: Trial, note: str = "") -> Table:
    names = (*BLIND, *(variant.name for variant in shipped()))
    head = ("", "nDCG@10", "recall@10", "recall@50", "MRR", "diversity@10", "coverage@10")
    rows = [
        (name, *(f"{mean:.4f}" for mean in trial.means(name)), f"{trial.coverage[name]:.3f}")
        for name in names
    ]
    size = f"{len(trial.users)} cases of {trial.people} users."
    return Table(title, head, rows, f"{size} {note.strip()}")


def _differences(findings: Findings) -> Table:
    names = [*BLIND, *(v.name for v in shipped() if v.name != BASELINE.label)]
    rows = [
        (
            name,
            spelt(findings.main.over(name, BASELINE.label, METRIC)),
            spelt(findings.main.over(name, BASELINE.label, "recall@50")),
            spelt(findings.leaking.over(name, BASELINE.label, METRIC)),
        )
        for name in names
    ]
    head = (f"less `{BASELINE.label}`", METRIC, "recall@50", f"{METRIC}, each user cut apart")
    return Table("Over the baseline", head, rows)


def _cuts(findings: Findings) -> Table:
    trials = (*findings.single, findings.main, findings.every_cut)
    rows = [
        (
            trial.name,
            str(len(trial.users)),
            str(trial.people),
            *(f"{trial.means(name)[0]:.4f}" for name in (BASELINE.label, CENTRED.label)),
            spelt(trial.over(CENTRED.label, BASELINE.label, METRIC)),
            "{} : {}".format(*_sides(trial)),
            spelt(trial.over(RECOMMENDED.label, BASELINE.label, METRIC)),
        )
        for trial in trials
        if len(trial.users)
    ]
    centred, recommended = (f"{scheme.label} less it" for scheme in (CENTRED, RECOMMENDED))
    labels = (BASELINE.label, CENTRED.label, centred, "better : worse", recommended)
    head = ("cut", "cases", "users", *labels)
    note = f"""
The headline is that of the four cuts; the others are there to show whether it hangs on them. Better
and worse are the cases in which {CENTRED.label} is; in all others nothing changes, mostly because
neither finds anything in ten."""
    return Table(f"Cut by cut, {METRIC}", head, rows, note)


def _sides(trial: Trial) -> tuple[int, int]:
    """Count the cases in which CENTRED is better than BASELINE, and those in which it is worse."""
    difference = trial.figures[CENTRED.label][0] - trial.figures[BASELINE.label][0]
    return int((difference > 0).sum()), int((difference < 0).sum())


def _variants(findings: Findings) -> Table:
    main, leaking = findings.main, findings.leaking
    names = (RECOMMENDED.label, *(v.name for v in changed(findings.dataset)))
    rows = [
        (
            name,
            f"{main.means(name)[0]:.4f}",
            spelt(main.over(name, BASELINE.label, METRIC)),
            spelt(main.over(name, CENTRED.label, METRIC)),
            f"{leaking.means(name)[0]:.4f}",
            spelt(leaking.over(name, CENTRED.label, METRIC)),
        )
        for name in names
    ]
    over = f"less `{CENTRED.label}`"
    head = ("", METRIC, f"less `{BASELINE.label}`", over, "each user cut apart", over)
    note = """
One thing changed each. Interests: a post's score is the highest of u . e_p - u . m over the user's
interests; users with shorter histories have one. Strongest direction off: the direction in which
the candidates differ most is taken off the users' vectors as well."""
    return Table(f"Variants, {METRIC}", head, rows, note)


def _lengths(findings: Findings) -> Table:
    names = (NEWEST, POPULARITY, *(v.name for v in shipped()))
    rows = []
    for least, most in LENGTHS:
        trial = findings.everybody
        trial = trial.where((trial.posts >= least) & (trial.posts <= (most or np.inf)))
        if len(trial.users):
            rows.append(
                (
                    f"{least} to {most}" if most else f"{least} and more",
                    str(len(trial.users)),
                    *(f"{trial.means(name)[0]:.4f}" for name in names),
                    spelt(trial.over(CENTRED.label, BASELINE.label, METRIC)),
                )
            )
    head = ("posts", "cases", *names, f"{CENTRED.label} less {BASELINE.label}")
    note = f"""
Users with fewer than {ENOUGH} posts, who get no vector by default, are in no other table."""
    return Table(f"By length of history, {METRIC}", head, rows, note)


def _neighbours(findings: Findings) -> Table:
    rows = [
        (name, f"{found.skewness:.2f}", f"{found.nobodys:.1%}", f"{found.most:.1%}")
        for name, found in findings.hubness.items()
    ]
    head = ("", "skewness", "nobody's neighbours", "have the commonest one")
    users = findings.label_free.users
    note = f"""
How often each of {users} users is among the {NEIGHBOURS} nearest of another, at the last of the
four cuts. Chance gives a skewness of {NEIGHBOURS**-0.5:.2f}, next to none, and
{NEIGHBOURS / users:.1%}."""
    return Table("Hubs among similar users", head, rows, note)


def _label_free(findings: Findings) -> Table:
    found = findings.label_free
    rows = [
        ("length of the mean of all posts' vectors", f"{found.mean_length:.3f}"),
        ("resultant length of a user's posts", _quartiles(found.resultants)),
        ("the same, with the mean taken off", _quartiles(found.centred_resultants)),
        ("median age of the users' actions, days", f"{found.age:.1f}"),
    ]
    note = f"""
At the last of the four cuts, {found.users} users. A resultant of 1 says that all of a user's posts
point one way; the median, and in brackets the quartiles."""
    return Table("Without labels", ("", ""), rows, note)


def _quartiles(values: NDArray[np.float64]) -> str:
    low, middle, high = values.tolist()
    return f"{middle:.3f} ({low:.3f} to {high:.3f})"
