"""The numbers as a person reads them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from bench.sizing.costs import UNMET, Offer, ceilings, costs, fits, usage
from bench.sizing.counts import Counts, Load, counts
from bench.sizing.duration import Rate, run_seconds
from lib.settings import CacheMode

MILLION = 1_000_000
TOP = 100  # seconds, then minutes, are counted so far
CENTS = 10  # dollars below which cents are shown


@dataclass(frozen=True)
class Table:
    """A title, and rows of as many cells as the header has."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        """Return it as Markdown, the title as a line above it."""
        lines = [self.header, ("---",) + ("--:",) * (len(self.header) - 1), *self.rows]
        return "\n".join([f"{self.title}:", "", *(f"| {' | '.join(line)} |" for line in lines)])


def tables(loads: Sequence[Load], rate: Rate, chains: tuple[int, ...]) -> tuple[Table, ...]:
    """Return what a run takes, what a month costs, and what is met first; one column a load."""
    sizes = tuple(f"{load.users:,}" for load in loads)
    return (
        Table("A run, by active users", ("", *sizes), _run(loads, rate, chains)),
        Table("Dollars a month, 12 runs a day", ("", *sizes), _month(loads, rate)),
        _limits(loads[0], rate, chains),
    )


def _run(loads: Sequence[Load], rate: Rate, chains: tuple[int, ...]) -> tuple[tuple[str, ...], ...]:
    made = [counts(load) for load in loads]

    def row(name: str, cell: Callable[[Counts], str]) -> tuple[str, ...]:
        return (name, *(cell(one) for one in made))

    return (
        row("QStash messages", lambda one: _large(one.messages)),
        row("Redis commands", lambda one: _large(one.redis_commands)),
        row("requests to Redis", lambda one: _large(one.redis_requests)),
        row("round trips to Postgres", lambda one: _large(one.round_trips)),
        row("rows read", lambda one: _about(one.rows_read)),
        row("rows written", lambda one: _large(one.rows_written)),
        row("from Postgres, cold", lambda one: _bytes(one.cold_bytes)),
        row("from Postgres, warm", lambda one: _bytes(one.warm_bytes)),
        row("to Postgres", lambda one: _bytes(one.in_bytes)),
        row("to Redis", lambda one: _bytes(one.redis_bytes)),
        *((_chains(number), *(_time(load, rate, number) for load in loads)) for number in chains),
    )


def _month(loads: Sequence[Load], rate: Rate) -> tuple[tuple[str, ...], ...]:
    offers = [costs(usage(load, rate)) for load in loads]
    deleted = [costs(usage(replace(load, cache=CacheMode.INVALIDATE), rate)) for load in loads]
    rows = [(of_all[0].service.name, *map(_offer, of_all)) for of_all in zip(*offers, strict=True)]
    together = ("together", *(_dollars(_sum(of_all)) for of_all in offers))
    if loads[0].cache is not CacheMode.WRITE:
        return (*rows, together)
    return (
        *rows,
        together,
        ("with `CACHE_MODE=invalidate`", *(_dollars(_sum(of_all)) for of_all in deleted)),
    )


def _limits(load: Load, rate: Rate, chains: tuple[int, ...]) -> Table:
    found = [ceiling for ceiling in ceilings(load, rate, chains) if ceiling.users < UNMET]
    return Table(
        "What is met first",
        ("", "at so many users a run"),
        tuple((f"{one.where}: {one.limit}", _about(one.users)) for one in found),
    )


def _sum(offers: Iterable[Offer]) -> float:
    return sum(offer.dollars for offer in offers)


def _offer(offer: Offer) -> str:
    return f"{_dollars(offer.dollars)} {offer.plan.name}" if offer.plan else "no listed plan"


def _dollars(amount: float) -> str:
    if amount == float("inf"):
        return "no listed plan"
    return f"${amount:,.0f}" if amount >= CENTS or amount == 0 else f"${amount:,.2f}"


def _chains(number: int) -> str:
    return f"time, {number:,} {'chain' if number == 1 else 'chains'}"


def _large(number: int) -> str:
    if number < 10 * MILLION:
        return f"{number:,}"
    if number < 1000 * MILLION:
        return f"{number / MILLION:.3g} million"
    return f"{number / MILLION / 1000:.3g} billion"


def _about(number: int) -> str:
    """Return a number of which the first three digits count."""
    return _large(int(float(f"{number:.3g}")))


def _bytes(number: int) -> str:
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if number >= size:
            return f"{number / size:,.3g} {unit}"
    return f"{number / 1e3:,.0f} kB"


def _time(load: Load, rate: Rate, chains: int) -> str:
    seconds = run_seconds(load, rate, chains)
    if seconds < TOP:
        text = f"{seconds:,.0f} s"
    elif seconds < TOP * 60:
        text = f"{seconds / 60:,.0f} min"
    else:
        text = f"{seconds / 3600:,.3g} h"
    return text if fits(load, rate, chains) else f"({text})"
