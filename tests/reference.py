"""The specification in plain Python loops: slow, obvious, and no code shared with lib/.

Of lib/ it knows the fields of a scheme, which are data.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from lib.embedding.schemes import BASELINE, Scheme

UNDOES = {"unlike_post": "like_post", "unbookmark_post": "bookmark_post"}
LOOKBACK = timedelta(days=90)
OLDEST = 400
"""Half-lives after which an action loses nothing more."""


class Action(NamedTuple):
    id: int
    user_id: UUID
    post_id: UUID
    action_type: str
    created_at: datetime


class Erasure(NamedTuple):
    """Nothing up to then counts, nor what is dated `ahead`; nothing at all of who opted out."""

    erased_at: datetime
    ahead: tuple[datetime, ...]
    opted_out: bool


class Contribution(NamedTuple):
    """What some actions on one post weigh: below 0 for those that push away."""

    weight: float
    acted_at: datetime
    actions: int


type Side = tuple[UUID, bool]
"""A post, and whether it is pushed away."""


def recent(
    actions: Sequence[Action],
    as_of: datetime,
    lookback: timedelta = LOOKBACK,
    erasure: Erasure | None = None,
) -> list[Action]:
    """Return the actions that are looked at, whatever they mean."""
    looked_at = []
    for action in actions:
        if action.created_at < as_of - lookback:
            continue
        if erasure and (
            erasure.opted_out
            or action.created_at <= erasure.erased_at
            or action.created_at in erasure.ahead
        ):
            continue
        looked_at.append(action)
    return looked_at


def contributions(
    actions: Sequence[Action], as_of: datetime, scheme: Scheme, max_posts: int = 1000
) -> dict[Side, Contribution]:
    """Return what one user's posts weigh, the strongest first and no more than `max_posts`."""
    of_post: dict[UUID, list[Action]] = {}
    for action in actions:
        of_post.setdefault(action.post_id, []).append(action)
    parts: dict[Side, list[tuple[float, datetime]]] = {}
    for action in actions:
        weight = scheme.weights.get(action.action_type) or scheme.negatives.get(action.action_type)
        if not weight or _undone(action, of_post[action.post_id]):
            continue
        side = action.post_id, action.action_type in scheme.negatives
        counts = not (scheme.daily_views and _seen_again(action, of_post[action.post_id], as_of))
        worth = weight * _decay(action.created_at, as_of, scheme) if counts else 0.0
        parts.setdefault(side, []).append((worth, action.created_at))
    weights = {side: math.fsum(worth for worth, _ in some) for side, some in parts.items()}
    strongest = sorted(weights, key=lambda side: (-weights[side], side))[:max_posts]
    return {
        (post, away): Contribution(
            (-1 if away else 1)
            * (
                math.log1p(weights[post, away]) / math.log(2)
                if scheme.saturated
                else weights[post, away]
            ),
            max(at for _, at in parts[post, away]),
            len(parts[post, away]),
        )
        for post, away in strongest
    }


def _undone(action: Action, of_post: Sequence[Action]) -> bool:
    for other in of_post:
        if UNDOES.get(other.action_type) == action.action_type and (other.created_at, other.id) > (
            action.created_at,
            action.id,
        ):
            return True
    return False


def _seen_again(action: Action, of_post: Sequence[Action], as_of: datetime) -> bool:
    """Whether a view is not the last of its day; what is yet to come is of today."""
    if action.action_type != "view_post":
        return False
    day = min(action.created_at, as_of).astimezone(UTC).date()
    for other in of_post:
        if (
            other.action_type == "view_post"
            and min(other.created_at, as_of).astimezone(UTC).date() == day
            and (other.created_at, other.id) > (action.created_at, action.id)
        ):
            return True
    return False


def _decay(at: datetime, as_of: datetime, scheme: Scheme) -> float:
    days = max((as_of - at) / timedelta(days=1), 0.0)
    return 0.5 ** min(days / scheme.half_life, OLDEST)


def combined(
    weights: Mapping[Side, float],
    embeddings: Mapping[UUID, Sequence[float]],
    scheme: Scheme,
    minimum: int,
    mean: Sequence[float] | None,
) -> list[float] | None:
    """Return the vector of posts of these weights; None where there is none."""
    kept = {side: weight for side, weight in weights.items() if side[0] in embeddings}
    near = math.fsum(weight for weight in kept.values() if weight > 0)
    away = math.fsum(-weight for weight in kept.values() if weight < 0)
    if sum(weight > 0 for weight in kept.values()) < max(minimum, 1):
        return None
    scale = scheme.negative_share * near / away if away > scheme.negative_share * near else 1.0
    dimensions = len(next(iter(embeddings.values())))
    centre = mean if mean is not None else [0.0] * dimensions
    total, size = [0.0] * dimensions, 0.0
    for (post, _), signed in kept.items():
        weight = signed * scale if signed < 0 else signed
        size += abs(weight) * (math.hypot(*embeddings[post]) + math.hypot(*centre))
        for i, x in enumerate(embeddings[post]):
            total[i] += weight * (x - centre[i])
    length = math.hypot(*total)
    if length <= 1e-9 * size:
        return None
    return [x / length for x in total]


def interest_vector(
    actions: Sequence[Action],
    embeddings: Mapping[UUID, Sequence[float]],
    as_of: datetime,
    scheme: Scheme = BASELINE,
    *,
    minimum: int = 3,
    lookback: timedelta = LOOKBACK,
    max_posts: int = 1000,
    mean: Sequence[float] | None = None,
    erasure: Erasure | None = None,
) -> list[float] | None:
    """Return the vector of one user's actions; None where there is none.

    `embeddings`: the usable ones of the configured model; `mean`: what a centred scheme takes off.
    """
    looked_at = recent(actions, as_of, lookback, erasure)
    parts = contributions(looked_at, as_of, scheme, max_posts)
    weights = {side: part.weight for side, part in parts.items()}
    return combined(weights, embeddings, scheme, max(minimum, scheme.minimum), mean)


def cosine(left: Sequence[float], right: Sequence[float]) -> float:
    return dot(left, right) / math.sqrt(dot(left, left) * dot(right, right))


def dot(left: Sequence[float], right: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(left, right, strict=True))
