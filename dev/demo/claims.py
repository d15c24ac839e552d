"""What a run promises, held against what it left behind."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import numpy as np

from dev.demo.outcome import Outcome
from dev.judge import judge
from dev.world import World
from lib.cache import TTL_SECONDS, key
from lib.embedding import BASELINE, RETRACTIONS
from lib.settings import VectorSettings
from lib.store import results

RIGHT = 0.8
TIMES_CHANCE = 3
TTL_SLACK_SECONDS = 300


@dataclass(frozen=True)
class Claim:
    """A sentence about a run, and whether it is true."""

    kept: bool
    text: str


def check(world: World, outcome: Outcome, settings: VectorSettings) -> Iterator[Claim]:
    """Yield every claim; the one about tastes only where they are known."""
    since = outcome.began - settings.lookback
    yield _accounted(world, outcome, since)
    yield _complete(world, outcome, settings.min_interactions, since)
    yield _mirrored(outcome)
    yield _kept_a_week(outcome)
    if world.tastes:
        yield _right(world, outcome)


def _accounted(world: World, outcome: Outcome, since: datetime) -> Claim:
    active = len({action.user for action in world.actions if action.at >= since})
    done = sum(outcome.counts.get(name, 0) for name in results.Outcome)
    failed = outcome.counts.get(results.Outcome.FAILED, 0)
    text = f"the run accounts for all {active:,} active users, none failed"
    if active == outcome.users == done and not failed:
        return Claim(kept=True, text=text)
    return Claim(
        kept=False,
        text=f"{text}: {outcome.users:,} were listed, {done:,} done, {failed:,} of them failed",
    )


def _complete(world: World, outcome: Outcome, least: int, since: datetime) -> Claim:
    posts = posts_that_count(world, since)
    due = {user for user, count in posts.items() if count >= least}
    found = outcome.vectors.keys()
    text = f"whoever has {least} posts or more has a vector, nobody else"
    if found == due:
        return Claim(kept=True, text=f"{text}: {len(due):,} users")
    return Claim(
        kept=False,
        text=f"{text}: {len(due - found):,} have none, {len(found - due):,} should have none",
    )


def posts_that_count(world: World, since: datetime) -> dict[UUID, int]:
    """Count each user's embedded posts with an action of positive weight that was not retracted."""
    embedded = {post.id for post, there in zip(world.posts, world.embedded, strict=True) if there}
    valued: dict[UUID, set[tuple[UUID, str]]] = defaultdict(set)
    for user, post, kind, at in world.actions:
        if at < since or post not in embedded:
            continue
        if BASELINE.weights.get(kind, 0) > 0:
            valued[user].add((post, kind))
        elif kind in RETRACTIONS:
            valued[user].discard((post, RETRACTIONS[kind]))
    return {user: len({post for post, _ in pairs}) for user, pairs in valued.items()}


def _mirrored(outcome: Outcome) -> Claim:
    stored = {key(user): vector for user, vector in outcome.vectors.items()}
    missing, spare = len(stored.keys() - outcome.cached), len(outcome.cached.keys() - stored)
    other = sum(
        not np.array_equal(outcome.cached[name].vector, vector)
        for name, vector in stored.items()
        if name in outcome.cached
    )
    text = "Redis holds what Postgres holds, number for number"
    if missing or spare or other:
        wrong = f"{missing:,} keys are missing, {spare:,} are too many, {other:,} differ"
        return Claim(kept=False, text=f"{text}: {wrong}")
    return Claim(kept=True, text=f"{text}: {len(stored):,} keys")


def _kept_a_week(outcome: Outcome) -> Claim:
    allowed = range(TTL_SECONDS - TTL_SLACK_SECONDS, TTL_SECONDS + 1)
    wrong = sum(entry.ttl not in allowed for entry in outcome.cached.values())
    text = f"every key lives for {TTL_SECONDS // 86_400} days"
    return Claim(kept=not wrong, text=f"{text}: {wrong:,} do not" if wrong else text)


def _right(world: World, outcome: Outcome) -> Claim:
    text = "strongest taste among top topics"
    if not outcome.vectors:
        return Claim(kept=False, text=f"{text}: there are no vectors")
    verdict = judge(world, outcome.vectors)
    text = f"{text}: {verdict.right:.1%} of vectors (by chance {verdict.chance:.1%})"
    kept = verdict.right >= max(RIGHT, TIMES_CHANCE * verdict.chance)
    wanted = f", expected {RIGHT:.0%} and {TIMES_CHANCE} times chance"
    return Claim(kept=kept, text=text if kept else text + wanted)
