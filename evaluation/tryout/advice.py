"""What a platform lacks, what a month would cost it, and what to type to begin."""

from collections.abc import Iterator

from evaluation.tryout.findings import Findings
from evaluation.tryout.report import Section, spelt
from evaluation.tryout.worth import SHOWN
from lib.embedding import BASELINE, SCHEMES

MEGABYTE = 1_000_000


def advice(findings: Findings) -> Iterator[Section]:
    """Yield what there is to do, and to pay."""
    yield _indexes(findings)
    yield _month(findings)
    yield _install(findings)


def _indexes(findings: Findings) -> Section:
    found = findings.indexes
    rows = tuple(
        (index.name, f"{max(1, size // MEGABYTE):,} MB") for index, size in found.missing.items()
    )
    notes = [
        f"{name} is a view: its table wants the indexes that README, 'Tables with other names',"
        " shows; which it has is not known here."
        for name in found.views
        if name in {"action_log", "post_embeddings"}
    ]
    notes += [
        f"{name} has no index on its id: each page would read all of it." for name in found.bare
    ]
    if "users" in found.views:
        notes.append("users is a view: a foreign key names it, so it must be a table.")
    elif not found.referable:
        notes.append("users has no primary key (id): the foreign key of db/schema.sql needs one.")
    if not rows and not notes:
        notes = ["None: all of db/indexes.sql is there."]
    return Section("Missing indexes", rows, tuple(notes))


def _month(findings: Findings) -> Section:
    load = findings.month.load
    title = (
        f"A month of 12 runs a day, in dollars; a run has {load.users:,} users, of whom"
        f" {load.users - load.skipped:,} get a vector"
    )
    rows = tuple(tuple(cell.replace("`", "") for cell in row) for row in findings.month.rows)
    return Section(title, rows, ("Of Postgres nothing is reckoned. More: make sizing.",))


def _install(findings: Findings) -> Section:
    apply = 'psql "$DIRECT_URL" -v ON_ERROR_STOP=1'
    lines = [f"{apply} -f db/schema.sql"]
    if findings.indexes.missing:
        lines.append(f'{apply} -c "SET statement_timeout = 0" -f db/indexes.sql')
    settings = [f"MODEL_VERSION={spelt(findings.sample.posts.model or '')}"]
    best = _best(findings)
    if best:
        settings.append(f"EMBEDDING_SCHEME={best}")
    return Section(
        "To install",
        tuple((line,) for line in lines),
        (f"Then README, 'Deploying', from step 1, with {' and '.join(settings)}.",),
    )


def _best(findings: Findings) -> str | None:
    """Return the scheme with the best mean of those shown to be better than the baseline."""
    trial = findings.worth.trial
    if trial is None:
        return None
    over = {
        scheme.label: trial.over(scheme.label, BASELINE.label, SHOWN[0])
        for scheme in SCHEMES
        if scheme != BASELINE
    }
    better = [name for name, found in over.items() if found.lower > 0]
    return max(better, key=lambda name: over[name].mean, default=None)
