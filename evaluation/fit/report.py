"""The figures of a fit in tables."""

from collections.abc import Iterator

import numpy as np

from bench.table import Table
from evaluation.fit.choice import Choice
from evaluation.fit.findings import BLEND, FORMER, METRIC, Findings, Judged, fitted_on
from evaluation.fit.search import SETS
from evaluation.report import LENGTHS
from evaluation.words import spelt
from lib.embedding.ranking import Blend

NOTHING = (0, 0)
"""The history of users who came later than the cut."""


def tables(findings: Findings) -> Iterator[Table]:
    """Yield every table."""
    yield _weights(findings)
    for judged in findings.judged:
        yield _contenders(judged)
        yield _lengths(judged)
    yield _sets(findings)


def _weights(findings: Findings) -> Table:
    rows = [_row(f"**{BLEND}**", findings.blend)]
    if len(findings.judged) > 1:
        alone = [judged.own for judged in findings.judged]
        rows += [_row(fitted_on(own.name), own.chosen.blend(0)) for own in alone]
    if findings.former is not None and findings.former != findings.blend:
        rows.append(_row(FORMER, findings.former))
    bends = ("freshness_days", "popularity_days", "trust")
    head = ("", "similarity", "freshness", "popularity", *bends)
    note = "As in `lib.embedding.ranking.Blend`; - where it does not matter."
    return Table("The weights", head, rows, note)


def _row(name: str, blend: Blend) -> tuple[str, ...]:
    several = (
        sum(weight > 0 for weight in (blend.similarity, blend.freshness, blend.popularity)) > 1
    )
    return (
        name,
        f"{blend.similarity:.2f}",
        f"{blend.freshness:.2f}",
        f"{blend.popularity:.2f}",
        f"{blend.freshness_days:g}" if blend.freshness and several else "-",
        f"{blend.popularity_days:g}" if blend.popularity else "-",
        f"{blend.trust:g}" if blend.similarity and several else "-",
    )


def _contenders(judged: Judged) -> Table:
    trial = judged.main
    head = ("", METRIC, "blend less it", "recall@10", "recall@50", "MRR", "coverage@10")
    rows = []
    for name in judged.contenders:
        ndcg, ten, fifty, first, _ = (f"{mean:.4f}" for mean in trial.means(name))
        over = "" if name == BLEND else spelt(trial.over(BLEND, name, METRIC))
        rows.append((name, ndcg, over, ten, fifty, first, f"{trial.coverage[name]:.3f}"))
    note = f"""
{len(trial.users)} cases of {trial.people} users, with {trial.wanted.sum()} posts to be found; the
weights were fitted on {judged.cases} cases of {judged.users} users, all earlier."""
    return Table(f"The last slice of `{judged.dataset.name}`", head, rows, note)


def _lengths(judged: Judged) -> Table:
    rows = []
    for least, most in (NOTHING, *LENGTHS):
        trial = judged.everybody
        longest = np.inf if most is None else most
        trial = trial.where((trial.posts >= least) & (trial.posts <= longest))
        if len(trial.users):
            span = "none" if most == 0 else f"{least} to {most}" if most else f"{least} and more"
            over = spelt(trial.over(BLEND, judged.best_single, METRIC))
            means = (f"{trial.means(name)[0]:.4f}" for name in judged.contenders)
            rows.append((span, str(len(trial.users)), *means, over))
    head = ("posts", "cases", *judged.contenders, f"{BLEND} less {judged.best_single}")
    note = f"""
By how many posts a user had acted on before. Those with none are in no other table, and nothing was
fitted on them. {judged.best_single.capitalize()} is the best single signal here."""
    return Table(f"By length of history, `{judged.dataset.name}`, {METRIC}", head, rows, note)


def _sets(findings: Findings) -> Table:
    choices = [judged.own for judged in findings.judged]
    if len(choices) > 1:
        choices.insert(0, findings.choice)
    rows = [
        (", ".join(signals), *(_mean(choice, signals) for choice in choices)) for signals in SETS
    ]
    rows.append(("standard error", *(f"{choice.error:.4f}" for choice in choices)))
    rows.append(("blends tried", *(str(choice.tried) for choice in choices)))
    note = f"""
The best {METRIC} found with each set of signals where the weights were fitted; of datasets together
the mean of theirs. In bold what was chosen: of the smallest set within one standard error of the
best."""
    return Table("What was searched", ("", *(choice.name for choice in choices)), rows, note)


def _mean(choice: Choice, signals: tuple[str, ...]) -> str:
    mean = f"{choice.means[signals]:.4f}"
    return f"**{mean}**" if choice.chosen == choice.best[signals] else mean
