"""The faults that are made, and the promises that have to hold under each."""

from dataclasses import dataclass

PROMISES = {
    "P1": "It converges: after the faults and one whole run every vector is the reference's.",
    "P2": "Repeats are harmless: any message, any number of times, late, in any order, at once.",
    "P3": "Nothing goes backwards: no older read stays in the place of a newer one.",
    "P4": "One bad user or post costs that user only.",
    "P5": "A run ends: its messages are bounded, and no fork outlives its page.",
    "P6": "Reads survive Redis: the cache down or lying costs speed, never an answer.",
    "P7": "Nobody unsigned reads, writes or costs a query.",
}


@dataclass(frozen=True)
class Fault:
    """One kind of fault; `promises` are those that it puts to the test."""

    number: int
    name: str
    promises: tuple[str, ...]


FAULTS = (
    Fault(1, "a message delivered twice or three times", ("P2", "P5")),
    Fault(2, "messages out of order, or a retry a day late", ("P2", "P3")),
    Fault(3, "runs and pages at once, in several processes", ("P1", "P2")),
    Fault(4, "killed between the commit and the next page's message", ("P1", "P5")),
    Fault(5, "killed between the commit and the cache", ("P1", "P3")),
    Fault(6, "a COMMIT whose answer is lost", ("P1", "P3")),
    Fault(7, "Redis down, slow, refusing, or answering nonsense", ("P1", "P6")),
    Fault(8, "Postgres stopped, stalled, or its connections ended", ("P1",)),
    Fault(9, "a transaction pooler between function and Postgres", ("P1", "P2")),
    Fault(10, "QStash takes no message, or its answer is lost", ("P1", "P5")),
    Fault(11, "out of time, or killed at any moment", ("P1", "P5")),
    Fault(12, "users and posts whose data is bad", ("P4",)),
    Fault(13, "a page that fails for one user's sake", ("P4", "P5")),
    Fault(14, "clocks that disagree", ("P1", "P7")),
    Fault(15, "actions committed late or dated earlier", ("P1",)),
    Fault(16, "users and posts deleted, or made again, in mid run", ("P1", "P4")),
    Fault(17, "posts embedded again, or by another model", ("P1",)),
    Fault(18, "forged signatures", ("P7",)),
    Fault(19, "a genuine message replayed", ("P2",)),
    Fault(20, "signing keys rotated", ("P7",)),
    Fault(21, "a body tampered with", ("P7",)),
    Fault(22, "a message signed for another address", ("P7",)),
    Fault(23, "bodies too large, without end, or too slow", ("P7",)),
    Fault(24, "SQL in ids, cursors and names", ("P7",)),
    Fault(25, "signed messages that make no sense", ("P5",)),
    Fault(26, "the development trigger, asked in production", ("P7",)),
    Fault(27, "reads without a token, or beyond their limits", ("P7",)),
    Fault(28, "secrets looked for in all that is written", ("P7",)),
    Fault(29, "the schema applied over an earlier one, or half applied", ("P1",)),
    Fault(30, "a snapshot interrupted", ("P1",)),
)
BY_NUMBER = {fault.number: fault for fault in FAULTS}
