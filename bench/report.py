"""The findings in words and tables."""

from collections import defaultdict
from collections.abc import Iterator

from bench.conditions import FEW
from bench.contest import FLOOR_SIZE
from bench.findings import USUAL, Findings
from bench.phases import PARTS, REST
from bench.schemes import PAGE_SIZE
from bench.spread import Spread
from bench.table import Table, verdict
from bench.targets import targets
from lib.batch.page import SMALL_SLICE
from lib.embedding.schemes import RECOMMENDED


def introduction(findings: Findings) -> str:
    """Return what was measured, on what, and how to do it again."""
    machine, world = findings.machine, findings.world
    return f"""# Speed

Written by `{findings.command}` in {findings.seconds:.0f} s. {machine}, which Postgres, Valkey, the
stand-ins for Upstash and QStash and the function share. Times are milliseconds a user, the median
of several measurements and in brackets the least and the most; what is compared takes turns within
the same run. Only ratios are worth comparing: the machine is neither a fast nor a quiet one.

The world: {world.users:,} users, {world.actions} actions each in the last 80 days (70 % of them
views; 2 % of likes and bookmarks are taken back, so that one user in three has done so),
{world.posts:,} posts with random unit vectors, some far more popular than others (the first 20
times as much as the 1,000th). Postgres keeps its files in memory and does not sync.

The loop is the specification's: for one user after the other it reads the actions, reads the
embeddings, averages them in numpy, upserts, and sets the key in Redis. Loop and page go by one
setting of `DATABASE_POOLED`, 1 unless said otherwise. They make the same vectors: of 200 users'
no number differs by more than {findings.disagreement:g}.
"""


def tables(findings: Findings) -> Iterator[Table]:
    """Yield every table, the verdict first."""
    yield verdict(targets(findings))
    yield _near(findings)
    yield _phases(findings)
    yield _schemes(findings)
    yield _far(findings)
    yield _conditions(findings)
    yield _traffic(findings)
    yield _process(findings)
    yield _warmth(findings)


def _near(findings: Findings) -> Table:
    plain, prepared = findings.plain, findings.prepared
    kinds = [("the loop", plain.loop, prepared.loop)]
    if plain.floor and prepared.floor:
        kinds.append((f"the floor, PAGE_SIZE {FLOOR_SIZE}", plain.floor, prepared.floor))
    kinds += [
        (f"PAGE_SIZE {size}", plain.pages[size], prepared.pages[size]) for size in plain.pages
    ]
    rows = [
        (name, *_cells(pooled, plain.loop), *_cells(direct, prepared.loop))
        for name, pooled, direct in kinds
    ]
    head = ("without Redis", "ms a user", "users/s", "times", "prepared: ms", "users/s", "times")
    cold = findings.cold
    note = f"""
The floor is a page's own statements once more, with the same arguments and as much side by side,
and nothing done with what they answer except by asyncpg. The page is warm; the first one of {USUAL}
users, without connections and with nothing kept, takes {cold.median:.0f} ms ({cold.least:.0f} to
{cold.most:.0f}). `prepared` is `DATABASE_POOLED=0`: asyncpg keeps statements prepared, and a loop
behind a transaction pooler pays a round trip more for each statement than one that is not."""
    return Table("Near: nothing but Postgres", head, rows, note)


def _phases(findings: Findings) -> Table:
    parts: dict[str, list[tuple[str, float]]] = defaultdict(list)
    for name, ms in findings.phases.items():
        parts[PARTS.get(name, "the page and the run")].append((name, 1000 * ms))
    whole = 1000 * sum(findings.phases.values())
    sums = {part: sum(us for _, us in things) for part, things in parts.items()}
    rows = [
        (
            part,
            f"{sums[part]:.0f}",
            f"{sums[part] / whole:.0%}",
            ", ".join(f"{name} {us:.0f}" for name, us in things),
        )
        for part, things in parts.items()
    ]
    note = f"""
Warm pages of one slice, {SMALL_SLICE} users, so that nearly everything happens one after another,
near and with Redis. Names in capitals are those of statements in `lib/store/`, the time is that
until asyncpg has their answer; `{REST}` is when nothing of all the others is under way."""
    return Table("Where the time goes", ("", "us a user", "share", "of which"), rows, note)


def _schemes(findings: Findings) -> Table:
    rows = [
        (
            name,
            _ms(price.cost),
            f"{price.times.median:.2f}",
            f"{price.times.least:.2f}",
            f"{price.times.most:.2f}",
        )
        for name, price in findings.prices.items()
    ]
    note = f"""
Pages of {PAGE_SIZE} users, without Redis, each scheme over the same users in turn; `times` is of
the baseline's in the same round. Before each measurement the page is worked off once untimed, so
that what the scheme before has left beside the vectors is gone. It is the worst case for interests:
every user here has more than {RECOMMENDED.long_history} posts, so everybody is split."""
    head = ("", "ms a user", "times", "least", "most")
    return Table("By scheme", head, rows, note)


def _far(findings: Findings) -> Table:
    head = ["with Redis"]
    rows = [["the loop"]] + [[f"PAGE_SIZE {size}"] for size in findings.plain.pages]
    for standing in findings.served:
        head += [f"{1000 * standing.round_trip:g} ms away", "times"]
        for row, spread in zip(rows, (standing.loop, *standing.pages.values()), strict=True):
            row += [_ms(spread), _ratio(standing.loop, spread)]
    measured = ", ".join(f"{ms:.2f} ms" for ms in findings.pings.values())
    note = f"""
Postgres, Redis and QStash are the same round trip away (`dev/latency.py`), as nearly as the machine
keeps time: an empty query takes {measured}.

![Cost of a user against the page size](cost.svg)"""
    return Table("With Redis, near and far", head, rows, note)


def _conditions(findings: Findings) -> Table:
    found = findings.conditions
    rows = [
        ("all vacuumed", _ms(found.vacuumed)),
        ("a tenth of the log, the newest, not vacuumed", _ms(found.unvacuumed)),
        ("vacuumed again", _ms(found.vacuumed_again)),
        (f"without `db/indexes.sql`, a page of {FEW} users", f"{found.bare_page:.0f}"),
        (f"without `db/indexes.sql`, the loop over {FEW} users", f"{found.bare_loop:.0f}"),
    ]
    return Table("A worse database", (f"PAGE_SIZE {USUAL}, without Redis", "ms a user"), rows)


def _traffic(findings: Findings) -> Table:
    rows = [
        (
            str(int(sent.pooled)),
            str(sent.per_slice),
            str(sent.round_trips - sent.per_slice),
            str(sent.redis_requests),
            f"{sent.redis_bytes / 1e6:.2f}",
            str(sent.publishes),
        )
        for sent in findings.traffic
    ]
    head = (
        "`DATABASE_POOLED`",
        "round trips a slice",
        "and a page",
        "requests to Redis",
        "MB",
        "to QStash",
    )
    note = f"""
A page of one slice, {SMALL_SLICE} users. Counted are messages after which a client waits."""
    return Table("What a page sends", head, rows, note)


def _process(findings: Findings) -> Table:
    found, whole = findings.imports, findings.whole
    rows = [
        (f"a run of {whole.users:,} users, PAGE_SIZE {USUAL}, with Redis, s", f"{whole.total:.1f}"),
        ("users a second in it", f"{whole.users / whole.total:,.0f}"),
        ("the most memory it ever held, MB", f"{whole.memory:.0f}"),
        ("importing the page function, ms", f"{found.function:.0f}"),
        ("importing only what it takes from others, ms", f"{found.others:.0f}"),
    ]
    note = """
The function in a process of its own, under Vercel's runtime, called by the stand-in for QStash over
HTTP, message by message."""
    return Table("The function's process", ("", ""), rows, note)


def _warmth(findings: Findings) -> Table:
    rows = [
        (f"run {number}", f"{warmth.cost:.3f}", f"{warmth.hits:.1%}")
        for number, warmth in enumerate(findings.warmths, 1)
    ]
    note = f"""
All {findings.world.users:,} users in each run, PAGE_SIZE {USUAL}, without Redis, by a process that
begins with no post vector. A vector that is there already is used only if the database says, in the
same transaction, that it is still the post's."""
    return Table("From cold to warm", ("", "ms a user", "vectors there already"), rows, note)


def _cells(spread: Spread, loop: Spread) -> tuple[str, str, str]:
    return _ms(spread), f"{1000 / spread.median:,.0f}", _ratio(loop, spread)


def _ms(spread: Spread) -> str:
    return f"{spread.median:.3f} ({spread.least:.3f} to {spread.most:.3f})"


def _ratio(loop: Spread, spread: Spread) -> str:
    return f"{loop.median / spread.median:.1f}"
