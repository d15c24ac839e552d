"""How actions become weights: schemes are data, and one aggregation serves them all."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from lib.errors import EmbeddingError

RETRACTIONS: Mapping[str, str] = MappingProxyType(
    {"unlike_post": "like_post", "unbookmark_post": "bookmark_post"}
)
"""What each retracting action cancels: all of that user's on that post before it."""

NEGATIVES = frozenset({"dislike_post", "hide_post"})

VIEW = "view_post"

WEIGHTS: Mapping[str, float] = MappingProxyType(
    {
        VIEW: 1.0,
        "like_post": 5.0,
        "comment_post": 8.0,
        "bookmark_post": 7.0,
        "share_post": 10.0,
    }
)
"""What the specification lets each action weigh."""

NOTHING: Mapping[str, float] = MappingProxyType({})


@dataclass(frozen=True)
class Scheme:
    """A named, versioned way to weight actions; never edited, only superseded.

    `weights`: of each action that draws the vector near, `negatives`: of each that pushes it away,
    all positive. `negative_share`: what pushes weighs at most this share of what draws.
    `half_life`: the age in days at which an action weighs half. `saturated`: a post of summed
    weight x counts log2(1 + x). `daily_views`: a post's views count once a day. `centred`: the mean
    of all posts is taken off. `minimum`: so many posts a vector takes, whatever MIN_INTERACTIONS.
    `interests`: into how many a user of `long_history` posts and more is split at most; 0 where
    interests are not kept at all.
    """

    name: str
    version: int
    weights: Mapping[str, float]
    half_life: float = math.inf
    saturated: bool = False
    daily_views: bool = False
    negatives: Mapping[str, float] = field(default_factory=lambda: NOTHING)
    negative_share: float = 0.0
    centred: bool = False
    minimum: int = 1
    interests: int = 0
    long_history: int = 50

    @property
    def label(self) -> str:
        """Return the name with the version, as settings and vectors spell it."""
        return f"{self.name}@{self.version}"

    def stored_as(self, model_version: str, mean: int | None = None) -> str:
        """Return the `model_version` that vectors made in this way, with this mean, carry."""
        if self == BASELINE:
            return model_version
        return f"{model_version}/{self.label}" + ("" if mean is None else f"#{mean}")

    @property
    def actions(self) -> tuple[str, ...]:
        """The action types that carry weight: those that draw near, then those that push away."""
        return (*self.weights, *self.negatives)

    @property
    def known_actions(self) -> frozenset[str]:
        """Every action type that means something, whether or not it carries weight."""
        return frozenset(self.weights) | NEGATIVES | frozenset(RETRACTIONS)


BASELINE = Scheme("baseline", 1, WEIGHTS)
"""The specification as written: the weighted mean, no decay, no negatives."""

DECAY = Scheme("decay", 1, WEIGHTS, half_life=30.0)
"""The baseline, in which what was done a month ago weighs half."""

CENTRED = Scheme("centred", 1, WEIGHTS, centred=True)
"""The baseline, less what all posts have in common."""

RECOMMENDED = Scheme(
    "recommended",
    1,
    WEIGHTS,
    half_life=90.0,
    daily_views=True,
    negatives=MappingProxyType({"dislike_post": 5.0, "hide_post": 5.0}),
    negative_share=0.1,
    centred=True,
    interests=4,
)
"""What the evaluation supports; see evaluation/RESULTS.md, nDCG@10 on Stack Exchange's questions.

Centred, with a half-life of 90 days: 0.034 (0.004 to 0.069) over the baseline at cuts in time, and
0.023 (0.005 to 0.043) with each user cut apart; chosen on these data, so flattered by them.
Saturation: no difference to centred alone shown, so left out. Several interests from 50 posts on:
none shown; from 10 on, worse by 0.010 (0.001 to 0.021) with each user cut apart. Those data have no
views and no dislikes: that a post's views count once a day guards against reloading, and dislikes
push by no more than a tenth because in other data more than a quarter did harm.
"""

SCHEMES = (BASELINE, DECAY, CENTRED, RECOMMENDED)


def find_scheme(text: str) -> Scheme:
    """Return the scheme called `name@version`, or the newest `name`; raise EmbeddingError."""
    named = [scheme for scheme in SCHEMES if text in {scheme.name, scheme.label}]
    if not named:
        known = ", ".join(scheme.label for scheme in SCHEMES)
        raise EmbeddingError(f"expected one of {known}, got {text!r}")
    return max(named, key=lambda scheme: scheme.version)
