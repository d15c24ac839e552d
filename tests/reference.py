"""The specification in plain Python loops: slow, obvious, and no code shared with lib/."""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

WEIGHTS = {
    "view_post": 1,
    "like_post": 5,
    "comment_post": 8,
    "bookmark_post": 7,
    "share_post": 10,
}
UNDOES = {"unlike_post": "like_post", "unbookmark_post": "bookmark_post"}


class Action(NamedTuple):
    id: int
    user_id: object
    post_id: object
    action_type: str
    created_at: datetime


def interest_vector(
    actions: Sequence[Action],
    embeddings: Mapping[object, Sequence[float]],
    as_of: datetime,
    *,
    minimum: int = 3,
    lookback: timedelta | None = timedelta(days=90),
    max_posts: int = 1000,
) -> list[float] | None:
    """Return the vector of one user's actions; None where there is none.

    `embeddings`: the usable ones of the configured model.
    """
    recent = [a for a in actions if lookback is None or a.created_at >= as_of - lookback]
    weights: dict[object, float] = {}
    for action in recent:
        if action.action_type not in WEIGHTS:
            continue
        undone = False
        for other in recent:
            if (
                UNDOES.get(other.action_type) == action.action_type
                and other.post_id == action.post_id
                and (other.created_at, other.id) > (action.created_at, action.id)
            ):
                undone = True
        if not undone:
            weights[action.post_id] = weights.get(action.post_id, 0.0) + WEIGHTS[action.action_type]
    strongest = sorted(weights, key=lambda post: (-weights[post], str(post)))[:max_posts]
    kept = [post for post in strongest if post in embeddings]
    if len(kept) < max(minimum, 1):
        return None
    total = [0.0] * 384
    size = 0.0
    for post in kept:
        size += weights[post] * math.sqrt(sum(x * x for x in embeddings[post]))
        for i, x in enumerate(embeddings[post]):
            total[i] += weights[post] * x
    length = math.sqrt(sum(x * x for x in total))
    if length <= 1e-9 * size:
        return None
    return [x / length for x in total]


def cosine(left: Sequence[float], right: Sequence[float]) -> float:
    dot = sum(a * b for a, b in zip(left, right, strict=True))
    return dot / math.sqrt(sum(a * a for a in left) * sum(b * b for b in right))
