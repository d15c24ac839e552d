"""How actions become weights: schemes are data, and one aggregation serves them all."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

RETRACTIONS: Mapping[str, str] = MappingProxyType(
    {"unlike_post": "like_post", "unbookmark_post": "bookmark_post"}
)
"""What each retracting action cancels: all of that user's on that post before it."""

NEGATIVES = frozenset({"dislike_post", "hide_post"})


@dataclass(frozen=True)
class Scheme:
    """A named, versioned way to weight actions; never edited, only superseded."""

    name: str
    version: int
    weights: Mapping[str, float]

    def stored_as(self, model_version: str) -> str:
        """Return the `model_version` that vectors made in this way are stored with."""
        return model_version if self == BASELINE else f"{model_version}/{self.name}@{self.version}"

    @property
    def known_actions(self) -> frozenset[str]:
        """Every action type that means something, whether or not it carries weight."""
        return frozenset(self.weights) | NEGATIVES | frozenset(RETRACTIONS)


BASELINE = Scheme(
    name="baseline",
    version=1,
    weights=MappingProxyType(
        {
            "view_post": 1.0,
            "like_post": 5.0,
            "comment_post": 8.0,
            "bookmark_post": 7.0,
            "share_post": 10.0,
        }
    ),
)
"""The specification as written: the weighted mean, no decay, no negatives."""
