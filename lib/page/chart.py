"""Charts as geometry: what a template draws as SVG, and says in a table beside it."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from lib.page.wording import NOTHING

WIDTH, HEIGHT = 360, 150
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 8, 20
PLOT_WIDTH, PLOT_HEIGHT = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
GAP = 0.2
"""Of a bar's place, left free."""

NICE = (1.0, 2.0, 2.5, 5.0, 10.0)

NOTICEABLE = 1e-12
"""Of less no power of ten can be told in the end."""

FEW = 8
"""So many labels have room to stand side by side; of more, the first and the last do."""


@dataclass(frozen=True)
class Series:
    """One figure at every place along the chart; None where there is none."""

    name: str
    values: tuple[float | None, ...]


@dataclass(frozen=True)
class Bar:
    """A rectangle of the series at `series`, and what it says."""

    x: float
    y: float
    width: float
    height: float
    series: int
    text: str


@dataclass(frozen=True)
class Line:
    """A path of the series at `series`, with gaps, and a dot at each of its values."""

    path: str
    dots: tuple[tuple[float, float, str], ...]
    series: int


@dataclass(frozen=True)
class Chart:
    """`ticks`: heights and what they stand for; `labels`: middles, and what stands below them.

    `rows`: a label and every series' figure each.
    """

    title: str
    names: tuple[str, ...]
    bars: tuple[Bar, ...]
    lines: tuple[Line, ...]
    ticks: tuple[tuple[float, str], ...]
    labels: tuple[tuple[float, str], ...]
    rows: tuple[tuple[str, ...], ...]


type Said = Callable[[float], str]


def bars(title: str, labels: Sequence[str], series: Sequence[Series], said: Said) -> Chart:
    """Stack the series at every label, the first of them at the bottom."""
    sums = [sum(one.values[at] or 0.0 for one in series) for at in range(len(labels))]
    top = nice(max(sums, default=0.0))
    step = PLOT_WIDTH / max(len(labels), 1)
    found = []
    for at, label in enumerate(labels):
        y = float(TOP + PLOT_HEIGHT)
        for place, one in enumerate(series):
            value = one.values[at] or 0.0
            height = PLOT_HEIGHT * value / top
            y -= height
            if value:
                text = f"{label}: {said(value)} {one.name}"
                x = LEFT + step * (at + GAP / 2)
                found.append(Bar(x, y, step * (1 - GAP), height, place, text))
    return _chart(title, labels, series, said, top, bars=tuple(found))


def lines(title: str, labels: Sequence[str], series: Sequence[Series], said: Said) -> Chart:
    """Draw a line through each series."""
    known = [value for one in series for value in one.values if value is not None]
    top = nice(max(known, default=0.0))
    step = PLOT_WIDTH / max(len(labels), 1)
    found = []
    for place, one in enumerate(series):
        path, dots, pen = [], [], "M"
        for at, (label, value) in enumerate(zip(labels, one.values, strict=True)):
            if value is None:
                pen = "M"
                continue
            x = LEFT + step * (at + 0.5)
            y = TOP + PLOT_HEIGHT * (1 - value / top)
            path.append(f"{pen}{x:.1f} {y:.1f}")
            dots.append((x, y, f"{label}: {said(value)} {one.name}"))
            pen = "L"
        found.append(Line("".join(path), tuple(dots), place))
    return _chart(title, labels, series, said, top, lines=tuple(found))


def nice(value: float) -> float:
    """Return the least round number that is not below a value; 1 for next to nothing."""
    if not value > NOTICEABLE:
        return 1.0
    size = 10.0 ** math.floor(math.log10(value))
    return next((size * one for one in NICE if size * one >= value), size * NICE[-1])


def _chart(
    title: str,
    labels: Sequence[str],
    series: Sequence[Series],
    said: Said,
    top: float,
    *,
    bars: tuple[Bar, ...] = (),
    lines: tuple[Line, ...] = (),
) -> Chart:
    rows = zip(labels, *(map(_or_nothing(said), one.values) for one in series), strict=True)
    return Chart(
        title,
        tuple(one.name for one in series),
        bars,
        lines,
        tuple((TOP + PLOT_HEIGHT * (1 - part), said(top * part)) for part in (0.0, 0.5, 1.0)),
        tuple(_middles(labels)),
        tuple(rows),
    )


def _middles(labels: Sequence[str]) -> Iterator[tuple[float, str]]:
    step = PLOT_WIDTH / max(len(labels), 1)
    for at, label in enumerate(labels):
        if len(labels) <= FEW or at in {0, len(labels) - 1}:
            yield LEFT + step * (at + 0.5), label


def _or_nothing(said: Said) -> Callable[[float | None], str]:
    return lambda value: NOTHING if value is None else said(value)
