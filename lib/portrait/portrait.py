"""One user as the system sees them: what they like, why, and what comes of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from lib.batch.why import Why
from lib.recommend.ranking import Recommended
from lib.recommend.similar import SimilarUser
from lib.recommend.vectors import CacheUse
from lib.store.headings import Heading
from lib.store.standings import Held


@dataclass(frozen=True)
class Dot:
    """A post on the map, -1 to 1 each way. `own`: it made the vector what it is."""

    post: UUID
    x: float
    y: float
    own: bool
    recommended: bool


@dataclass(frozen=True)
class Star:
    """The user on the map, or one of several interests by its place."""

    x: float
    y: float
    interest: int | None


@dataclass(frozen=True)
class Map:
    """Posts around the user. `spread`: the share of their spread that two dimensions show."""

    dots: tuple[Dot, ...]
    stars: tuple[Star, ...]
    spread: float


@dataclass(frozen=True)
class Portrait:
    """`why` is None, with the reason in `unexplained`, where that cannot be told any more.

    `headings`: of every post that is named, where it still exists. `cache`: what Redis had.
    `behind`: for each interest that is held, in its order, those of the posts in `why` that are
    nearest to it, the strongest first.
    """

    user: UUID
    held: Held
    cache: CacheUse
    why: Why | None
    unexplained: str
    behind: Sequence[Sequence[UUID]]
    recommended: Sequence[Recommended]
    neighbours: tuple[SimilarUser, ...]
    headings: Mapping[UUID, Heading]
    map: Map
