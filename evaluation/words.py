"""What the figures say, in sentences that follow from them."""

from collections.abc import Sequence

from evaluation.bootstrap import RESAMPLES, Interval
from evaluation.findings import CUTS, Findings
from evaluation.trial import ENOUGH, NEWEST, POPULARITY
from evaluation.variants import changed, shipped
from lib.embedding.schemes import BASELINE, CENTRED, RECOMMENDED, VIEW

METRIC = "nDCG@10"


def introduction(findings: Findings, command: str) -> str:
    """Return what was done, with which data, and how to do it again."""
    data, main = findings.dataset, findings.main
    cuts = ", ".join(f"{share:.0%}" for share in CUTS)
    return f"""# Quality

Written by `{command}` from `{data.name}`. {data.about}

**Protocol.** At a cut in time, what all users did before it is their past. To be found are the
posts on which a user first did something that has weight after the cut, if they existed at the cut.
All posts that existed at the cut are ranked, except those the user had done anything to before;
ties go by post id. The mean, popularity and all vectors come from before the cut. There are four
cuts, chosen before any result was seen: the midnights (UTC) before {cuts} of the actions. The
vectors are those that `lib.embedding` makes of a user's whole past (no lookback), for users with
{ENOUGH} posts and more, and the users are the same for every contender: {len(main.users)} cases of
{main.people} users, with {main.wanted.sum()} posts to be found.

**Intervals** hold 95 % of {RESAMPLES:,} means of paired differences; whole users are drawn, each
with the cases of all cuts. Nothing is corrected for how many comparisons there are, and what is
chosen by such figures does less well afterwards: `{RECOMMENDED.label}` was chosen by those of
`quantum_se`. Coverage is the share of the candidates that stands in anybody's first ten. Diversity
is 1 less the mean cosine of two posts of one's first ten, with the candidates' mean taken off, so
that posts drawn at random have 1.{_missing(findings)}

**What it means.** {" ".join(meaning(findings))}

![{METRIC} less the baseline's](quality.png)

Grey: rankings that know nothing of taste; dark: the schemes shipped; light: variants of them.
"""


def meaning(findings: Findings) -> Sequence[str]:
    """Return three sentences: what centring is worth, what else is, and what knows no taste."""
    return (_centring(findings), _variants(findings), _tasteless(findings))


def judged(interval: Interval) -> str:
    """Say whether an interval shows a difference, and give it."""
    if interval.lower > 0:
        return f"better by {spelt(interval)}"
    if interval.upper < 0:
        return f"worse by {spelt(interval)}"
    return f"not shown to differ, {spelt(interval)}"


def spelt(interval: Interval) -> str:
    """Spell a difference with its interval."""
    return f"{interval.mean:+.4f} ({interval.lower:+.4f} to {interval.upper:+.4f})"


def _centring(findings: Findings) -> str:
    main, apart, every = (
        trial.over(CENTRED.label, BASELINE.label, METRIC)
        for trial in (findings.main, findings.leaking, findings.every_cut)
    )
    single = [trial.over(CENTRED.label, BASELINE.label, METRIC) for trial in findings.single]
    better, worse = sum(i.lower > 0 for i in single), sum(i.upper < 0 for i in single)
    doubt = ", so that it hangs on the cuts" if main.lower > 0 >= every.lower else ""
    return (
        f"Against `{BASELINE.label}`, `{CENTRED.label}` is {judged(main)} in {METRIC} at the four"
        f" cuts, and {judged(apart)} with each user cut apart; of {len(single)} cuts taken singly"
        f" it is shown to be better at {better} and worse at {worse}, and over all of these"
        f" together it is {judged(every)}{doubt}."
    )


def _variants(findings: Findings) -> str:
    names = [variant.name for variant in changed(findings.dataset)]
    views = (findings.main, findings.leaking)
    over = {name: [view.over(name, CENTRED.label, METRIC) for view in views] for name in names}
    better = [name for name in names if all(interval.lower > 0 for interval in over[name])]
    worse = [name for name in names if all(interval.upper < 0 for interval in over[name])]
    names_too = [v.name for v in shipped() if v.name != BASELINE.label] + names
    ahead = [
        name
        for name in names_too
        if all(view.over(name, BASELINE.label, METRIC).lower > 0 for view in views)
    ]
    return (
        f"In both views, shown to be better than `{CENTRED.label}`, of {len(names)} variants:"
        f" {_listed(better)}; to be worse: {_listed(worse)}; to be better than `{BASELINE.label}`:"
        f" {_listed(ahead)}."
    )


def _tasteless(findings: Findings) -> str:
    means = {v.name: findings.main.means(v.name)[0] for v in shipped()}
    best = max(means, key=lambda name: means[name])
    ahead = [name for name in (NEWEST, POPULARITY) if findings.main.means(name)[0] > means[best]]
    found = " and ".join(
        f"{name} ({findings.main.means(name)[0]:.4f})" for name in (NEWEST, POPULARITY)
    )
    beaten = ("neither does better", "one does better", "both do better")[len(ahead)]
    advice = ", so that a ranking has to blend them with taste" if ahead else ""
    return (
        f"The best scheme shipped, `{best}`, has {means[best]:.4f}; of {found}, which know nothing"
        f" of taste, {beaten}{advice}."
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"*{name}*" for name in names) if names else "none"


def _missing(findings: Findings) -> str:
    meant = (VIEW, *RECOMMENDED.negatives)
    absent = [f"no `{name}`" for name in meant if name not in findings.dataset.types]
    if not absent:
        return ""
    return f"\n\nThe data hold {', '.join(absent)}: of what schemes make of these nothing is said."
