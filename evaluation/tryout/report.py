"""What was found about a platform, as a stranger reads it."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from evaluation.live.posts import State
from evaluation.tryout.findings import Findings
from evaluation.tryout.kinds import orphans, unknown
from evaluation.tryout.people import ENOUGH, MINIMA
from evaluation.tryout.worth import CONTENDERS, PEOPLE, SHOWN
from lib.embedding import BASELINE, RETRACTIONS, SCHEMES

LINES = 12
NAME = 40
FEW = 10


@dataclass(frozen=True)
class Section:
    """A title, rows in columns, and sentences under them."""

    title: str
    rows: tuple[tuple[str, ...], ...] = ()
    notes: tuple[str, ...] = ()


def sections(findings: Findings) -> Iterator[Section]:
    """Yield what was read and what it says, part by part."""
    yield _read(findings)
    yield _people(findings)
    yield _kinds(findings)
    yield _posts(findings)
    yield _worth(findings)


def spelt(name: str) -> str:
    """Spell a name out of somebody's data so that no terminal takes it for a command."""
    text = name if name.isprintable() and name else repr(name)
    return text if len(text) <= NAME else f"{text[: NAME - 3]}..."


def _read(findings: Findings) -> Section:
    sample, data = findings.sample, findings.sample.dataset
    days, embedded = 2 * sample.lookback.days, int((sample.posts.states != State.ABSENT).sum())
    part = "all of them" if sample.share == 1 else f"{sample.share:.1%} of them"
    rows = (
        (f"{data.users:,}", f"users who acted in the last {days} days: {part}"),
        (f"{len(data.actions.user):,}", f"actions of theirs, of {sample.log.actions:,} in all"),
        (f"{embedded:,}", f"posts with an embedding, of {sample.embedded:,}"),
    )
    notes = [
        f"Row level security may hide rows of {table.name} from this role: what is said here is of"
        " those it sees."
        for table in sample.tables.values()
        if table.hidden
    ]
    if sample.share < 1:
        notes.append("Numbers of users below are reckoned from the sample.")
    return Section(f"Read in {findings.seconds:.1f} s; nothing was written", rows, tuple(notes))


def _people(findings: Findings) -> Section:
    sample, found = findings.sample, findings.people

    def many(number: float) -> str:
        """Spell how many there are in all: what is reckoned, by three digits."""
        total = number / sample.share
        return _many(total if sample.share == 1 else float(f"{total:.3g}"))

    others = ", ".join(f"{many(found.getting[n])} with {n}" for n in MINIMA if n != ENOUGH)
    run = (
        f"of {many(found.active)} active in an average two hours, who have {found.actions:,.0f}"
        " actions each"
    )
    rows = (
        (many(found.getting[ENOUGH]), f"of {many(found.users)} in a first run; {others}"),
        (many(found.made), run),
        *((many(number), f"not: {why}") for why, number in found.reasons.items()),
    )
    title = (
        f"Who would get a vector, by {sample.lookback.days} days of actions and"
        f" MIN_INTERACTIONS={ENOUGH}"
    )
    return Section(title, rows)


def _kinds(findings: Findings) -> Section:
    log = findings.sample.log
    meant = unknown(log.types)
    rows = [
        (spelt(name), f"{number:,}", _meaning(name, meant.get(name)))
        for name, number in log.types.items()
    ]
    notes = [
        f"{number:,} of {total:,} {name} in the sample have nothing before them to take back."
        for name, (total, number) in orphans(findings.sample.dataset).items()
        if number
    ]
    if len(rows) > LINES:
        notes.append(f"{len(rows) - LINES} rarer types are not shown.")
    if log.future:
        notes.append(f"{log.future:,} actions are dated in the future: they count as of now.")
    if meant:
        notes.append("What is unknown counts for nothing; a view can rename it (README).")
    return Section("Types of action", tuple(rows[:LINES]), tuple(notes))


def _meaning(name: str, meant: str | None) -> str:
    if name in BASELINE.weights:
        return f"weighs {BASELINE.weights[name]:g}"
    if name in RETRACTIONS:
        return f"takes back {RETRACTIONS[name]}"
    if name in BASELINE.known_actions:
        pushed = [scheme.label for scheme in SCHEMES if name in scheme.negatives]
        return f"weighs 0; pushes away in {', '.join(pushed)}" if pushed else "weighs 0"
    return f"unknown; {meant}?" if meant else "unknown"


def _posts(findings: Findings) -> Section:
    posts = findings.sample.posts
    rows = [
        (spelt(name), f"{number:,}", "MODEL_VERSION" if name == posts.model else "not used")
        for name, number in posts.models.items()
    ]
    counted = posts.states == State.COUNTS
    acted_on = np.unique(findings.sample.dataset.actions.post)
    absent = int((posts.states[acted_on] == State.ABSENT).sum())
    notes = [f"Of its vectors, {int(counted.sum()):,} have 384 finite numbers and a direction."]
    notes += [f"{number:,} do not count: {what}." for what, number in posts.odd.items()]
    if absent:
        notes.append(f"{absent:,} of {len(acted_on):,} posts acted on have no embedding.")
    if posts.stretched:
        notes.append(
            f"{posts.stretched:,} have a length other than 1, and weigh more or less than others."
        )
    if counted.any():
        length = np.linalg.norm(posts.vectors[counted].mean(axis=0, dtype=np.float64))
        notes.append(
            f"Their mean has length {length:.2f}: 0 if posts point everywhere, 1 if all one way."
        )
    return Section("Posts' vectors, by model_version", tuple(rows[:LINES]), tuple(notes))


def _worth(findings: Findings) -> Section:
    found = findings.worth
    title = "What the schemes would be worth, by what users did later"
    if found.trial is None:
        few = f"Too few users to say: {PEOPLE} are needed with {ENOUGH} posts before and one after"
        return Section(title, notes=(f"{few} a cut in time, and there are {found.people}.",))
    rows: list[tuple[str, ...]] = [("", *SHOWN, f"{SHOWN[0]}, beside {BASELINE.label}")]
    for name in CONTENDERS:
        figures = (found.of(name, metric) for metric in SHOWN)
        cells = (f"{i.mean:.3f} ({i.lower:.3f}-{i.upper:.3f})" for i in figures)
        rows.append((name, *cells, found.verdict(name)))
    size = f"{len(found.trial.users):,} cases of {found.people:,} users at four cuts in time"
    notes = (
        f"{size}; in brackets 95% intervals, users resampled.",
        findings.sample.dataset.about,
    )
    return Section(title, tuple(rows), notes)


def _many(number: float) -> str:
    return f"{number:,.0f}" if number >= FEW or number == 0 else f"{number:,.2g}"
