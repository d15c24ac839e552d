"""All that the evaluation of a dataset finds."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evaluation.dataset import Dataset
from evaluation.hubness import Hubness, hubness
from evaluation.label_free import LabelFree, label_free
from evaluation.split import at_share, user_by_user
from evaluation.trial import ENOUGH, Trial, attempt, pool
from evaluation.variants import changed, shipped

CUTS = (0.5, 0.6, 0.7, 0.8)
"""Where the headline's cuts are, as shares of all actions."""

MORE_CUTS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""Where it is tried besides, to see whether what is found hangs on CUTS."""

OWN_CUT = 0.8
"""Where each user is cut apart, as a share of the user's own actions."""

NEIGHBOURS = 10

type Say = Callable[[str], None]


class TooLittle(ValueError):
    """What happened on the platform is not enough to judge anything by."""


@dataclass(frozen=True, eq=False)
class Findings:
    """What users did after cuts in time, and how near each contender came to it.

    `everybody`: all cases at CUTS, `main`: those with ENOUGH posts. The same with ENOUGH posts:
    `single`, at each of MORE_CUTS; `every_cut`, these together; `leaking`, each user cut apart.
    `hubness`, by scheme, and `label_free`: of all users with ENOUGH posts at the last of CUTS.
    """

    dataset: Dataset
    everybody: Trial
    main: Trial
    single: tuple[Trial, ...]
    every_cut: Trial
    leaking: Trial
    hubness: Mapping[str, Hubness]
    label_free: LabelFree


def evaluate(dataset: Dataset, say: Say) -> Findings:
    """Put every contender on trial. Raises TooLittle."""
    variants = (*shipped(), *changed(dataset))
    trials: dict[float, Trial] = {}
    for share in sorted({*CUTS, *MORE_CUTS}):
        split = at_share(dataset, share)
        say(f"{split.name}: {len(split.users)} users, {split.candidates.sum()} posts")
        if len(split.users):
            trials[share] = attempt(dataset, split, variants)
    everybody = _pooled("50 to 80% together", [trials.get(share) for share in CUTS])
    every_cut = _pooled("all seven together", [trials.get(share) for share in MORE_CUTS])
    say("each user cut apart")
    apart = user_by_user(dataset, OWN_CUT)
    leaking = _pooled(apart.name, [attempt(dataset, apart, variants) if len(apart.users) else None])
    say("neighbours")
    last = at_share(dataset, CUTS[-1])
    anybody = np.arange(dataset.users)
    tastes = {v.name: v.tastes(dataset, last, anybody) for v in shipped()}
    made = np.all([found.made & (found.posts >= ENOUGH) for found in tastes.values()], axis=0)
    if made.sum() <= NEIGHBOURS:
        raise TooLittle(f"expected more than {NEIGHBOURS} users with a vector, got {made.sum()}")
    return Findings(
        dataset,
        everybody,
        everybody.with_enough(),
        tuple(trials[share].with_enough() for share in MORE_CUTS if share in trials),
        every_cut.with_enough(),
        leaking.with_enough(),
        {n: hubness(t.vectors[made[t.owners]], NEIGHBOURS) for n, t in tastes.items()},
        label_free(dataset, last, np.flatnonzero(made)),
    )


def _pooled(name: str, trials: Sequence[Trial | None]) -> Trial:
    found = [trial for trial in trials if trial is not None]
    if not any((trial.posts >= ENOUGH).any() for trial in found):
        raise TooLittle(f"expected users with {ENOUGH} posts before and one after a cut, got none")
    return pool(name, found)
