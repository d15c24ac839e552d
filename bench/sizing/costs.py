"""What a month of runs costs, and up to which size each plan and each limit of ours holds."""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

from bench.sizing.counts import Load, counts
from bench.sizing.duration import Rate, cpu_seconds, function_seconds, plan_seconds, run_seconds
from bench.sizing.prices import SERVICES, Limit, Plan, Service, Usage
from lib.store.runs import PLAN_SECONDS

RUNS_A_DAY = 12
DAYS = 30
MEMORY_GB = 2  # of an instance of the standard size, taken as working on one page at a time
INTERVAL_SECONDS = 6_600  # RUN_DEADLINE_SECONDS, within the two hours between two runs

MANY = 10**10  # users
UNMET = MANY - 1  # what holds for so many always holds


@dataclass(frozen=True)
class Offer:
    """What a service costs a month, with the cheapest of its plans that holds the usage."""

    service: Service
    plan: Plan | None
    dollars: float


@dataclass(frozen=True)
class Ceiling:
    """Up to how many users a run something holds, and what is met there."""

    users: int
    where: str
    limit: str


def usage(load: Load, rate: Rate) -> Usage:
    """Return what a month of such runs uses."""
    made, runs = counts(load), RUNS_A_DAY * DAYS
    hours = (function_seconds(load, rate) + plan_seconds(load, rate)) * runs / 3600
    return Usage(
        messages_a_day=made.messages * RUNS_A_DAY,
        messages=made.messages * runs,
        commands=made.redis_commands * runs,
        stored_gb=made.redis_stored / 1e9,
        redis_gb=made.redis_bytes * runs / 1e9,
        cpu_hours=cpu_seconds(load, rate) * runs / 3600,
        memory_gb_hours=hours * MEMORY_GB,
        invocations=made.messages * runs,
    )


def costs(used: Usage) -> tuple[Offer, ...]:
    """Return the cheapest offer of every service; without a plan where none holds."""
    return tuple(_cheapest(service, used) for service in SERVICES)


def _cheapest(service: Service, used: Usage) -> Offer:
    fit = [plan for plan in service.plans if plan.holds(used)]
    if not fit:
        return Offer(service, None, float("inf"))
    plan = min(fit, key=lambda plan: plan.dollars(used))
    return Offer(service, plan, plan.dollars(used))


def ceilings(load: Load, rate: Rate, chains: tuple[int, ...]) -> list[Ceiling]:
    """Return what is met at which size of a run, the smallest first; of a plan its first limit."""
    found = [*_of_plans(load, rate), *_of_ours(load, rate, chains)]
    return sorted(found, key=lambda ceiling: ceiling.users)


def _of_plans(load: Load, rate: Rate) -> Iterator[Ceiling]:
    for service in SERVICES:
        for plan in service.plans:
            reached = [
                Ceiling(_most(partial(_within, limit, load, rate)), where, str(limit))
                for limit in plan.limits
                for where in [f"{service.name} {plan.name}"]
            ]
            if reached:
                yield min(reached, key=lambda ceiling: ceiling.users)


def _of_ours(load: Load, rate: Rate, chains: tuple[int, ...]) -> Iterator[Ceiling]:
    yield Ceiling(
        _most(partial(_planned, load, rate)), "Planning", f"{PLAN_SECONDS:.0f} s for its statement"
    )
    for number in chains:
        where = f"{number:,} {'chain' if number == 1 else 'chains'}"
        most = _most(partial(_through, number, load, rate))
        yield Ceiling(most, where, f"{INTERVAL_SECONDS:,} s for a run")


def _within(limit: Limit, load: Load, rate: Rate, users: int) -> bool:
    return limit.holds(usage(_of(load, users), rate))


def _planned(load: Load, rate: Rate, users: int) -> bool:
    return plan_seconds(_of(load, users), rate) <= PLAN_SECONDS


def _through(chains: int, load: Load, rate: Rate, users: int) -> bool:
    return run_seconds(_of(load, users), rate, chains) <= INTERVAL_SECONDS


def _of(load: Load, users: int) -> Load:
    share = load.skipped / max(load.users, 1)
    return replace(load, users=users, skipped=round(users * share))


def _most(holds: Callable[[int], bool]) -> int:
    """Return the largest number of users for which it holds, at most UNMET."""
    return bisect_left(range(MANY), x=True, lo=1, key=lambda users: not holds(users)) - 1


def fits(load: Load, rate: Rate, chains: int) -> bool:
    """Whether such a run can be planned, and is through before the next one."""
    return _planned(load, rate, load.users) and _through(chains, load, rate, load.users)
