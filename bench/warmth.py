"""What keeping post vectors from page to page saves a process that begins with none."""

from dataclasses import dataclass

from bench.page import cost, sized
from bench.platform import Platform
from lib.batch import Services


@dataclass(frozen=True)
class Warmth:
    """A whole run: ms a user, and the share of its post vectors that were there already."""

    cost: float
    hits: float


async def warmths(
    platform: Platform, services: Services, page_size: int, runs: int
) -> list[Warmth]:
    """Work off whole runs, one after another, by services that were just made."""
    found = []
    for _ in range(runs):
        hit, missed = services.warm.found, services.warm.missed
        spent = await cost(sized(services, page_size), platform, platform.world.users)
        hit, missed = services.warm.found - hit, services.warm.missed - missed
        found.append(Warmth(spent, hit / (hit + missed)))
    return found
