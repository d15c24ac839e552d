"""What is fitted on some datasets, and how good it is on each one's last slice."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bench.account import Say
from evaluation.dataset import Dataset
from evaluation.findings import TooLittle
from evaluation.fit.choice import Choice, Fittings, choose
from evaluation.fit.slices import Fitting, judged
from evaluation.metrics import coverage
from evaluation.trial import NEWEST, POPULARITY, Trial, centred, measure, pool
from lib.embedding import Scheme
from lib.embedding.ranking import Blend

BLEND, SIMILARITY = "blend", "similarity"
FORMER = "blend as it was"
SINGLE = (SIMILARITY, POPULARITY, NEWEST)
"""What each signal does alone; popularity with the half-life that is best where it was fitted."""

METRIC = "nDCG@10"


@dataclass(frozen=True, eq=False)
class Judged:
    """What is found on one dataset.

    `cases` and `users`: how many the weights were fitted on. `own`: what would be chosen by these
    data alone. `everybody`: all cases of the last slice, `posts` being how many a user had acted
    on; `main`: those with any.
    """

    dataset: Dataset
    cases: int
    users: int
    own: Choice
    everybody: Trial
    main: Trial

    @property
    def contenders(self) -> tuple[str, ...]:
        """The names of all that were ranked by, the blend first."""
        return tuple(self.everybody.figures)

    @property
    def best_single(self) -> str:
        """The signal that alone does best in the last slice."""
        return max(SINGLE, key=lambda name: self.main.means(name)[0])

    @property
    def harms(self) -> list[str]:
        """The signals that alone do better than the blend, beyond the interval."""
        return [name for name in SINGLE if self.main.over(BLEND, name, METRIC).upper < 0]


@dataclass(frozen=True, eq=False)
class Findings:
    """The blend chosen by all datasets together, and what it is worth on each.

    `former`: the blend in use so far, None without one.
    """

    scheme: Scheme
    seed: int
    choice: Choice
    blend: Blend
    former: Blend | None
    judged: tuple[Judged, ...]


def renewed(former: Blend | None, found: Blend) -> Blend:
    """Give a blend the former one's version if nothing else changes, else one higher, from 1."""
    if former is None:
        return replace(found, version=1)
    same = replace(found, version=former.version) == former
    return replace(found, version=former.version + (0 if same else 1))


def fit(
    datasets: Sequence[Dataset], scheme: Scheme, former: Blend | None, seed: int, say: Say
) -> Findings:
    """Fit on all datasets together and on each, and judge. Raises TooLittle."""
    fittings = Fittings([Fitting.of(dataset, scheme, seed) for dataset in datasets])
    for fitting in fittings.all:
        say(f"{fitting.name}: {len(fitting.owners)} cases to fit on")
    own = [choose(one.name, fittings, [n], seed, say) for n, one in enumerate(fittings.all)]
    everything = range(len(datasets))
    choice = choose("all together", fittings, everything, seed, say) if own[1:] else own[0]
    blend = renewed(former, choice.chosen.blend(0))
    found = []
    for dataset, fitting, alone in zip(datasets, fittings.all, own, strict=True):
        say(f"{dataset.name}: the last slice")
        trial = judge(dataset, scheme, _contenders(blend, former, own, alone))
        users = len(np.unique(fitting.owners))
        main = trial.where(trial.posts > 0)
        found.append(Judged(dataset, len(fitting.owners), users, alone, trial, main))
    return Findings(scheme, seed, choice, blend, former, tuple(found))


def _contenders(
    blend: Blend, former: Blend | None, own: Sequence[Choice], here: Choice
) -> Mapping[str, Blend]:
    names = {BLEND: blend}
    if len(own) > 1:
        names |= {fitted_on(choice.name): choice.chosen.blend(0) for choice in own}
    if former is not None and former != blend:
        names[FORMER] = former
    single = zip(SINGLE, ("similarity", "popularity", "freshness"), strict=True)
    return names | {name: here.best[signal,].blend(0) for name, signal in single}


def fitted_on(name: str) -> str:
    """Return what the blend is called that one dataset by itself would choose."""
    return f"fitted on {name} alone"


def judge(dataset: Dataset, scheme: Scheme, blends: Mapping[str, Blend]) -> Trial:
    """Rank by each blend for all users of the last slice, newcomers included. Raises TooLittle."""
    trials = []
    for moment in judged(dataset, scheme):
        split, directions = moment.split, centred(dataset, moment.split)
        rankings = {name: moment.rank(blend) for name, blend in blends.items()}
        posts = moment.posts[:, 0].astype(np.int64)
        candidates = int(split.candidates.sum())
        trials.append(
            Trial(
                split.name,
                split.users,
                posts,
                np.bincount(split.relevant // len(dataset.posts), minlength=len(split.users)),
                {name: measure(ranking, directions) for name, ranking in rankings.items()},
                {n: coverage(r.lists[posts > 0], candidates) for n, r in rankings.items()},
            )
        )
    if not any((trial.posts > 0).any() for trial in trials):
        raise TooLittle(
            f"expected users who acted before and in the last slice of {dataset.name}, got none"
        )
    return pool(dataset.name, trials)
