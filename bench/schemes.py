"""What each shipped scheme costs beside the baseline: pages of the same users, in turn."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

from bench.page import cost, sized
from bench.platform import Platform
from bench.spread import Measure, Spread, in_turn
from lib.batch import Services
from lib.embedding import BASELINE, SCHEMES, Scheme

PAGE_SIZE = 500
USERS = 500


@dataclass(frozen=True)
class Price:
    """Of one scheme: milliseconds a user, and how many times the baseline's of the same round."""

    scheme: Scheme
    cost: Spread
    times: Spread


def variants() -> Mapping[str, Scheme]:
    """Return the shipped schemes, each that keeps interests once without them as well."""
    named: dict[str, Scheme] = {}
    for scheme in SCHEMES:
        if scheme.interests:
            named[f"{scheme.label}, without interests"] = replace(scheme, interests=0)
        named[scheme.label] = scheme
    return named


async def prices(platform: Platform, services: Services, rounds: int) -> dict[str, Price]:
    """Let the schemes take turns over the same warm pages; return each one's price by name."""
    schemes = variants()
    measures: dict[str, Measure] = {
        name: partial(_settled, replace(sized(services, PAGE_SIZE), scheme=scheme), platform)
        for name, scheme in schemes.items()
    }
    for measure in measures.values():
        await measure()
    taken = await in_turn(rounds, measures)
    first = taken[BASELINE.label]
    return {
        name: Price(
            schemes[name],
            Spread.of(costs),
            Spread.of([cost / base for cost, base in zip(costs, first, strict=True)]),
        )
        for name, costs in taken.items()
    }


async def _settled(services: Services, platform: Platform) -> float:
    """Work the pages off twice and time the second: the first clears away what others left."""
    await cost(services, platform, USERS)
    return await cost(services, platform, USERS)
