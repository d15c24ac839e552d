"""The page that says what every fault came to."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from dev.reliability.faults import FAULTS, PROMISES, Fault
from dev.reliability.record import Record

HEAD = """\
# Reliability

Written by `make faults` out of what its tests counted; nothing here is typed by hand but the
sentences around the figures. A fault is made where it happens in life: a process is killed, a
connection cut, a server stopped, an answer late, twice or never. *Made* is how often, *users* how
many were compared with the reference implementation (`tests/reference.py`) afterwards; *lost* had
no vector where the reference makes one, *wrong* had another one. A dash: the test compares
something else than users. The promises themselves are in the
[README](../README.md#what-it-promises).
"""

REPEAT = """
## Again

`make faults` makes them all, in some minutes; `make faults-long` makes those with dice many times
more often, in an hour. One by itself: `.venv/bin/python -m pytest 'tests/faults/test_moments.py'
--long`. Where dice were thrown, the seed is in the table, and a failing test prints its own.
"""

NOT_PROMISED = """
## Not promised

- **Delivery exactly once.** Messages repeat; what they do does not.
- **Vectors fresher than the interval** of the schedule.
- **Actions committed later than `WINDOW_OVERLAP_SECONDS`** after their `created_at`, and **a post
  embedded again** under users who do nothing more, unless they are reported; `schedule.py
  rebuild` finds both.
- **A function killed between its look at Postgres and its write to Redis, for as long as that
  write is under way** after another delivery has finished the page: an older copy may then stay
  until the user acts again, a reader that asks through our route finds it out, or seven days are
  over.
- **Postgres losing what it had committed.** Run it with `fsync` and `synchronous_commit` on; the
  suite's does not, but where it is killed.
"""


@dataclass(frozen=True)
class Findings:
    """What a run of the faults left: records, fates of mutants, runs of the fuzzer; and where."""

    records: Sequence[Record]
    mutants: Sequence[Mapping[str, Any]]
    fuzzed: Sequence[Mapping[str, Any]]
    conditions: str


def page(found: Findings) -> str:
    """Return docs/reliability.md."""
    return "\n".join(
        [
            HEAD,
            found.conditions,
            "",
            *_promises(found.records),
            "",
            *_faults(found.records),
            REPEAT,
            *_mutants(found.mutants),
            "",
            *_fuzzed(found.fuzzed),
            NOT_PROMISED,
        ]
    )


def untested(records: Sequence[Record]) -> list[Fault]:
    """Return the faults that no test made."""
    made = {number for record in records for number in record.faults}
    return [fault for fault in FAULTS if fault.number not in made]


def _promises(records: Sequence[Record]) -> Iterator[str]:
    yield "## Promises"
    yield ""
    yield "| promise | faults it was put to | made | tests | held |"
    yield "|---|---|--:|--:|---|"
    for name, text in PROMISES.items():
        numbers = [fault.number for fault in FAULTS if name in fault.promises]
        of = [record for record in records if set(numbers) & set(record.faults)]
        held = "yes" if of and all(record.passed for record in of) else "**no**"
        made, tests = sum(record.tried for record in of), len({record.test for record in of})
        shown = ", ".join(map(str, numbers))
        yield f"| **{name}** {text} | {shown} | {made:,} | {tests} | {held} |"


def _faults(records: Sequence[Record]) -> Iterator[str]:
    yield "## Faults"
    for fault in FAULTS:
        of = [record for record in records if fault.number in record.faults]
        yield ""
        yield f"### {fault.number}. {fault.name[0].upper()}{fault.name[1:]}"
        yield ""
        if not of:
            yield "No test ran."
            continue
        yield "| test | made | users | lost | wrong | |"
        yield "|---|--:|--:|--:|--:|---|"
        for name, cases in groupby(of, key=lambda record: record.test):
            yield _row(name, list(cases))


def _row(name: str, cases: Sequence[Record]) -> str:
    file, _, test = name.partition("::")
    made, users = sum(case.tried for case in cases), sum(case.users for case in cases)
    lost, wrong = sum(case.lost for case in cases), sum(case.wrong for case in cases)
    counts = f"{users:,} | {lost} | {wrong}" if users else "- | - | -"
    failed = [case for case in cases if not case.passed]
    notes = "; ".join(note for case in cases for note in case.notes)
    said = "; ".join(filter(None, [f"**failed: {len(failed)}**" if failed else "", notes]))
    words = test.removeprefix("test_").replace("_", " ")
    return f"| [{words}](../{file}) | {made:,} | {counts} | {said} |"


def _mutants(fates: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield "## Mutants"
    yield ""
    if not fates:
        yield "Not run (`make mutants`)."
        return
    died = sum(fate["died"] for fate in fates)
    made = "Faults made by hand in the code, each with the test that must notice"
    yield f"{made}: {died} of {len(fates)} died (`make mutants`)."
    yield ""
    yield "| the fault | died of |"
    yield "|---|---|"
    for fate in fates:
        test = fate["test"].partition("[")[0]
        yield f"| {fate['name']} | {f'`{test}`' if fate['died'] else '**lives**'} |"


def _fuzzed(targets: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield "## Made up by a fuzzer"
    yield ""
    if not targets:
        yield "Not run (`make fuzz`)."
        return
    yield "What strangers may send, each judged as well by a slow reading by hand (`make fuzz`)."
    yield ""
    yield "| what is read | seconds | runs | kept | crashes |"
    yield "|---|--:|--:|--:|--:|"
    for target in targets:
        numbers = [f"{target[name]:,}" for name in ("seconds", "runs", "corpus", "crashes")]
        yield f"| {target['target']} | {' | '.join(numbers)} |"
