"""What a fit says, in sentences that follow from its figures."""

from collections.abc import Iterator

from evaluation.bootstrap import RESAMPLES
from evaluation.fit.findings import BLEND, METRIC, Findings, Judged, fitted_on
from evaluation.fit.search import DAYS, DRAWS, PARTS, SETS, TRUST
from evaluation.fit.slices import FITTED, JUDGED, LAST
from evaluation.trial import ENOUGH
from evaluation.words import judged as told

COMMAND = "make fit-ranking"


def introduction(findings: Findings) -> str:
    """Return what was done, with which data, what came of it, and what it cannot say."""
    names = " and ".join(f"`{judged.dataset.name}`" for judged in findings.judged)
    abouts = "\n\n".join(f"`{j.dataset.name}`: {j.dataset.about}" for j in findings.judged)
    return f"""# Ranking

Written by `{COMMAND}` from {names}, with vectors of `{findings.scheme.label}`. What is ranked by is
`lib.embedding.ranking.Scores`, as the recommendations are; the file is `lib/blend.json`.

{abouts}

**Protocol.** Time is cut in three: the past, a slice on which weights and half-lives are fitted,
and a last slice, from the midnight (UTC) before {LAST:.0%} of the actions on, of which the fit
knows nothing. Fitted is at the midnights before {_shares(FITTED)} of the actions before the last
slice, by what users turned to between each and the last slice; judged is at those before
{_shares(JUDGED)} of all actions. At each cut the mean, the vectors, popularity and age are those of
what came before it; all posts that existed are ranked, except those a user had done anything to;
ties go by post id. In it is whoever had done anything before the cut and then found a post; users
with fewer than {ENOUGH} posts have no vector and get what is the same for all. Similarity is that
of the nearest of a user's interests.

**Search.** For each of the {len(SETS)} sets of the three signals, {DRAWS} blends are drawn (seed
{findings.seed}) and the best of them is improved step by step, by the mean {METRIC}, each dataset
counting as much as any other. Weights are multiples of {1 / PARTS:g}; half-lives are
{_listed(DAYS)} days; trust is {_listed(TRUST)} posts. Chosen is the best blend of the smallest set
of signals that comes within one standard error of the best of all: a signal has to earn its place
by more than chance gives.

**Intervals** hold 95 % of {RESAMPLES:,} means of paired differences; whole users are drawn, each
with the cases of all cuts. Newest first, popularity and similarity are each signal alone,
popularity with the half-life that was best on the same data where weights were fitted.

**What it means.** {" ".join(_meaning(findings))}

**What these data cannot tell.** {" ".join(_limits(findings))}

![{METRIC} less the blend's](ranking.png)
"""


def _meaning(findings: Findings) -> Iterator[str]:
    for judged in findings.judged:
        best = judged.best_single
        over = told(judged.main.over(BLEND, best, METRIC))
        yield (
            f"In the last slice of `{judged.dataset.name}` the blend has"
            f" {judged.main.means(BLEND)[0]:.4f}; the best single signal there, {best}, has"
            f" {judged.main.means(best)[0]:.4f}: beside it the blend is {over}."
        )
    harmed = [judged for judged in findings.judged if judged.harms]
    if harmed:
        yield " ".join(_harm(judged) for judged in harmed)
    else:
        yield "Nowhere is it worse than a single signal beyond the interval."
    if len(findings.judged) > 1:
        yield (
            f"It is a compromise on purpose: {'; '.join(_elsewhere(findings))}. Nobody knows"
            " beforehand which of them a platform is like, so the default is fitted on all of them"
            " together, and a platform can fit it on its own past."
        )


def _elsewhere(findings: Findings) -> Iterator[str]:
    """Yield what is made of each dataset by what was fitted on another."""
    for judged in findings.judged:
        for other in findings.judged:
            if other is not judged:
                name = fitted_on(other.dataset.name)
                over = told(judged.main.over(name, BLEND, METRIC))
                yield f"on `{judged.dataset.name}`, beside the blend, what is {name} is {over}"


def _harm(judged: Judged) -> str:
    return f"On `{judged.dataset.name}` it does harm beside {', '.join(judged.harms)}."


def _limits(findings: Findings) -> Iterator[str]:
    least = min(findings.judged, key=lambda judged: judged.main.people)
    yield (
        f"`{least.dataset.name}` has {least.main.people} users in its last slice: a difference"
        " smaller than its intervals is not seen, in either direction."
    )
    yield (
        "Where items have no time of their own, freshness is the age since the first action on"
        " them. What users turned to depends on what they were shown, and pages that list the"
        " newest or the most popular first make these look good. Users who came after a cut are"
        " fitted on nowhere: what brought them is not known, and in one slice of `quantum_se` most"
        " came to one post. Diversity and exploration change the order after the score, and are"
        " not in it; nor is the lookback. Half-lives and trust at an end of their grid say only"
        " that shorter, longer, less or more might do as well."
    )


def _shares(shares: tuple[float, ...]) -> str:
    return ", ".join(f"{share:.0%}" for share in shares)


def _listed(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:g}" for value in values)
