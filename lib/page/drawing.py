"""The map of a portrait laid out to be drawn: places, shapes, and what each post says."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self
from uuid import UUID

from lib.portrait.portrait import Map
from lib.store.headings import Heading

TOPICS = 5
"""As many have a colour and a shape of their own."""

SIDE = 480
MARGIN = 14

type Headings = Callable[[UUID], Heading]


@dataclass(frozen=True)
class Mark:
    """A post to draw: its place, which topic's shape it has, 0 for the rest, and what it says."""

    x: float
    y: float
    topic: int
    own: bool
    recommended: bool
    text: str


@dataclass(frozen=True)
class Drawing:
    """A map to draw. `topics`: the names of those with a shape, the first is number 1."""

    marks: tuple[Mark, ...]
    stars: tuple[tuple[float, float, str], ...]
    topics: tuple[str, ...]
    others: bool
    spread: float


def draw(map_: Map, heading: Headings) -> Drawing:
    """Lay a map out in a square of SIDE, its own and its recommended posts on top."""
    named = _topics(map_, heading)
    places = [(dot.x, dot.y) for dot in map_.dots] + [(star.x, star.y) for star in map_.stars]
    frame = Frame.around(places)
    marks = []
    for dot in sorted(map_.dots, key=lambda dot: (dot.own or dot.recommended, dot.post)):
        found = heading(dot.post)
        number = 1 + named.index(found.topic) if found.topic in named else 0
        text = " - ".join(filter(None, (found.title or "untitled", found.topic)))
        marks.append(Mark(*frame.at(dot.x, dot.y), number, dot.own, dot.recommended, text))
    stars = tuple(
        (
            *frame.at(star.x, star.y),
            "the user" if star.interest is None else f"interest {star.interest + 1}",
        )
        for star in map_.stars
    )
    return Drawing(
        tuple(marks), stars, tuple(named), any(not mark.topic for mark in marks), map_.spread
    )


def _topics(map_: Map, heading: Headings) -> list[str]:
    """Return the topics to tell apart: first those of own posts, then of recommended ones."""
    own, recommended, every = Counter[str](), Counter[str](), Counter[str]()
    for dot in map_.dots:
        topic = heading(dot.post).topic
        if topic:
            own[topic] += dot.own
            recommended[topic] += dot.recommended
            every[topic] += 1
    return sorted(every, key=lambda one: (-own[one], -recommended[one], -every[one], one))[:TOPICS]


@dataclass(frozen=True)
class Frame:
    """The square that holds every place, and how much larger the drawing is."""

    x: float
    y: float
    scale: float

    @classmethod
    def around(cls, places: Sequence[tuple[float, float]]) -> Self:
        """Return the frame that just holds the places; any, where there are none."""
        if not places:
            return cls(0.0, 0.0, 1.0)
        (left, right), (low, high) = ((min(ways), max(ways)) for ways in zip(*places, strict=True))
        extent = max(right - left, high - low) or 1.0
        return cls((left + right) / 2, (low + high) / 2, (SIDE - 2 * MARGIN) / extent)

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Return where in the drawing a place is; its y goes down."""
        return SIDE / 2 + self.scale * (x - self.x), SIDE / 2 - self.scale * (y - self.y)
