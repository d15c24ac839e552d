"""How long a run takes. Arithmetic only."""

import math
from dataclasses import dataclass

from bench.sizing.counts import Load, counts
from bench.sizing.prices import COMMANDS_A_SECOND


@dataclass(frozen=True)
class Rate:
    """What things take, in milliseconds.

    A page: `page`, and for each of its users `user`, and `action` for each of the user's actions.
    `trip`: a round trip to Postgres. `hop`: from a page's end to the next one's beginning.
    `plan`: for each user. `cpu`: the share of a page that the function itself works.
    """

    page: float
    user: float
    action: float
    trip: float
    hop: float
    plan: float
    cpu: float


MEASURED = Rate(page=30, user=0.21, action=0.002, trip=1, hop=100, plan=0.006, cpu=0.65)
"""Measured on 24 November 2026 by `make bench` and `make bench-scale`, on two cores that Postgres,
Redis and both stand-ins shared: warm pages of 100 to 2,000 users with 20 and 100 actions, with
Redis and no delay; the plan of 1,000,000 users. Assumed, not measured: `trip` (one region) and
`hop`."""


def page_seconds(load: Load, rate: Rate) -> float:
    """Return how long the function works on a full page, waiting for Postgres included."""
    page = Load(min(load.users, load.page_size), load.page_size, load.actions, load.posts)
    return function_seconds(page, rate)


def function_seconds(load: Load, rate: Rate) -> float:
    """Return how long the function works on all pages of a run, one after the other."""
    made = counts(load)
    users = load.users * (rate.user + rate.action * load.actions)
    return (made.pages * rate.page + users + made.round_trips * rate.trip) / 1000


def cpu_seconds(load: Load, rate: Rate) -> float:
    """Return how long the function computes in a run."""
    waiting = counts(load).round_trips * rate.trip / 1000
    return rate.cpu * (function_seconds(load, rate) - waiting)


def plan_seconds(load: Load, rate: Rate) -> float:
    """Return how long the one statement takes that writes the work list."""
    return load.users * rate.plan / 1000


def run_seconds(load: Load, rate: Rate, chains: int) -> float:
    """Return how long a run takes from its start to its last page, if Postgres keeps up.

    It takes as long as Redis needs for its commands, however many chains there are.
    """
    made = counts(load)
    rounds = math.ceil(made.pages / chains)
    pages = rounds * (page_seconds(load, rate) + rate.hop / 1000)
    return plan_seconds(load, rate) + max(pages, made.redis_commands / COMMANDS_A_SECOND)
