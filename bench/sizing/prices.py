"""What Upstash and Vercel allow and charge. None of it was checked on the live pages."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Usage:
    """What a month of runs uses. A gigabyte has 10**9 bytes."""

    messages_a_day: float
    messages: float
    commands: float
    stored_gb: float
    redis_gb: float
    cpu_hours: float
    memory_gb_hours: float
    invocations: float


@dataclass(frozen=True)
class Measure:
    """One thing that is limited or charged for."""

    name: str
    of: Callable[[Usage], float]


@dataclass(frozen=True)
class Limit:
    """At most so much."""

    measure: Measure
    most: float

    def holds(self, usage: Usage) -> bool:
        """Whether the usage is within it."""
        return self.measure.of(usage) <= self.most

    def __str__(self) -> str:
        return f"{self.most:,.12g} {self.measure.name}"


@dataclass(frozen=True)
class Price:
    """Dollars for each unit beyond those that are free."""

    measure: Measure
    dollars: float
    free: float = 0

    def of(self, usage: Usage) -> float:
        """Return what the usage costs."""
        return self.dollars * max(0.0, self.measure.of(usage) - self.free)


@dataclass(frozen=True)
class Plan:
    """`monthly` dollars, of which `credit` pays for what the prices come to."""

    name: str
    monthly: float
    limits: tuple[Limit, ...] = ()
    prices: tuple[Price, ...] = ()
    credit: float = 0

    def holds(self, usage: Usage) -> bool:
        """Whether the plan allows the usage."""
        return all(limit.holds(usage) for limit in self.limits)

    def dollars(self, usage: Usage) -> float:
        """Return what a month costs."""
        charged = sum(price.of(usage) for price in self.prices)
        return self.monthly + max(0.0, charged - self.credit)


@dataclass(frozen=True)
class Service:
    """The plans of a service. `seen`: from where they are, as of when."""

    name: str
    plans: tuple[Plan, ...]
    seen: str


MESSAGES_A_DAY = Measure("messages a day", lambda usage: usage.messages_a_day)
MESSAGES = Measure("messages", lambda usage: usage.messages)
COMMANDS = Measure("commands a month", lambda usage: usage.commands)
STORED = Measure("GB stored", lambda usage: usage.stored_gb)
REDIS_TRAFFIC = Measure("GB of traffic a month", lambda usage: usage.redis_gb)
CPU = Measure("hours of CPU a month", lambda usage: usage.cpu_hours)
MEMORY = Measure("GB-hours of memory a month", lambda usage: usage.memory_gb_hours)
INVOCATIONS = Measure("invocations a month", lambda usage: usage.invocations)

# Upstash's pages disagree on whether retries count as messages; here nothing is retried.
QSTASH = Service(
    "QStash",
    (
        Plan("Free", 0, (Limit(MESSAGES_A_DAY, 1_000),)),
        Plan("Pay as You Go", 0, (), (Price(MESSAGES, 1 / 100_000),)),
        Plan("Fixed 1M", 180, (Limit(MESSAGES_A_DAY, 1_000_000),)),
        Plan("Fixed 10M", 420, (Limit(MESSAGES_A_DAY, 10_000_000),)),
    ),
    "upstash.com/pricing/qstash.md, an undated copy; Free as others read it on 6 October 2026",
)


def _fixed(name: str, monthly: float, stored_gb: float, traffic_gb: float) -> Plan:
    return Plan(name, monthly, (Limit(STORED, stored_gb), Limit(REDIS_TRAFFIC, traffic_gb)))


# The pages do not say whether traffic is counted both ways; here it is.
REDIS = Service(
    "Redis",
    (
        Plan("Free", 0, (Limit(COMMANDS, 500_000), Limit(STORED, 0.256), Limit(REDIS_TRAFFIC, 10))),
        Plan(
            "Pay as You Go",
            0,
            (Limit(STORED, 100),),
            (
                Price(COMMANDS, 0.2 / 100_000),
                Price(STORED, 0.25, 1),
                Price(REDIS_TRAFFIC, 0.03, 200),
            ),
        ),
        _fixed("Fixed 250MB", 10, 0.25, 50),
        _fixed("Fixed 1GB", 20, 1, 100),
        _fixed("Fixed 5GB", 100, 5, 500),
        _fixed("Fixed 10GB", 200, 10, 1_000),
        _fixed("Fixed 50GB", 400, 50, 5_000),
        _fixed("Fixed 100GB", 800, 100, 10_000),
        _fixed("Fixed 500GB", 1_500, 500, 20_000),
    ),
    "upstash.com/docs/redis/overall/billing, an undated copy that agrees with"
    " upstash.com/pricing/redis as others read it on 20 September 2026",
)

# In Washington (iad1), the cheapest region. Hobby is for what is not commercial.
VERCEL = Service(
    "Vercel",
    (
        Plan("Hobby", 0, (Limit(CPU, 4), Limit(MEMORY, 360), Limit(INVOCATIONS, 1_000_000))),
        Plan(
            "Pro",
            20,
            (),
            (Price(CPU, 0.128), Price(MEMORY, 0.0106), Price(INVOCATIONS, 0.6 / 1_000_000)),
            credit=20,
        ),
    ),
    "vercel.com/docs/functions/usage-and-pricing (Washington, the cheapest region), an undated"
    " copy; Pro as others read it on 8 October 2026",
)

SERVICES = (QSTASH, REDIS, VERCEL)

COMMANDS_A_SECOND = 10_000
"""Of Redis, on every plan up to 50 GB; from the same page as its prices."""
