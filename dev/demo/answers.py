"""What the routes answer, as far as the demonstration needs it."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True)
class Logged:
    """How many actions of a call are new in the log, and how many were there before."""

    stored: int
    repeated: int


@dataclass(frozen=True)
class Recommended:
    """A post and its score, which the three parts add up to."""

    post: UUID
    score: float
    similarity: float
    freshness: float
    popularity: float


@dataclass(frozen=True)
class Feed:
    """Recommendations, the best first, and the name of this answer."""

    rec_id: UUID
    posts: tuple[Recommended, ...]


@dataclass(frozen=True)
class Similar:
    """Another user, the cosine of both vectors, how many posts they share, and some of them."""

    user: UUID
    similarity: float
    shared: int
    posts: tuple[UUID, ...]


@dataclass(frozen=True)
class Reason:
    """A post behind a vector, its share of the whole from 0 to 1, and the actions on it by type."""

    post: UUID
    share: float
    actions: Mapping[str, int]


@dataclass(frozen=True)
class Why:
    """The strongest reasons of so many `posts`; `similarity`: of what they make to the vector."""

    similarity: float
    posts: int
    reasons: tuple[Reason, ...]


@dataclass(frozen=True)
class Answer:
    """A status, and the reason that came with it."""

    status: int
    reason: str
