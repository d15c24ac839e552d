"""The findings as pictures."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.typing import RcKeyType

from bench.contest import Standing
from bench.course import Course

STYLE: dict[RcKeyType, Any] = {
    "svg.hashsalt": "bench",  # so that the same data give the same file
    "svg.fonttype": "none",
    "axes.grid": True,
    "grid.alpha": 0.3,
}
LOOP_AT = 50  # where it stands among the page sizes
WITHOUT_DATE = {"Date": None}


def plot_costs(standings: Sequence[Standing], file: Path) -> None:
    """Draw the cost of a user against the page size, a line for each distance."""
    with rc_context(STYLE):
        figure = Figure(figsize=(7, 4.5), layout="constrained")
        axes = figure.add_subplot()
        for standing in standings:
            away = f"{1000 * standing.round_trip:g} ms away, with Redis"
            sizes = list(standing.pages)
            costs = [spread.median for spread in standing.pages.values()]
            [line] = axes.plot(sizes, costs, "o-", label=away if standing.cached else "no Redis")
            axes.plot(LOOP_AT, standing.loop.median, "s", color=line.get_color())
        axes.set(xscale="log", yscale="log", xlabel="users a page", ylabel="milliseconds a user")
        axes.set_xticks([LOOP_AT, *sizes], ["the loop", *map(str, sizes)])
        axes.set_xticks([], minor=True)
        axes.yaxis.set_major_formatter("{x:g}")
        axes.legend()
        save(figure, file)


def plot_pages(courses: Sequence[Course], file: Path) -> None:
    """Draw the time of each page against its place in the run, from its beginning to its end."""
    with rc_context(STYLE):
        figure = Figure(figsize=(7, 4.5), layout="constrained")
        axes = figure.add_subplot()
        for place, course in enumerate(courses):
            done = np.linspace(0, 100, len(course.pages))
            name, front = f"{course.users:,} users", len(courses) - place
            axes.plot(done, course.pages, ".", markersize=3 * front, zorder=front + 2, label=name)
        axes.set(xlabel="per cent of the run's pages", ylabel="milliseconds a page", ylim=(0, None))
        axes.legend().set_zorder(len(courses) + 3)
        save(figure, file)


def save(figure: Figure, file: Path) -> None:
    """Write the figure as an SVG that is the same for the same data."""
    FigureCanvasSVG(figure)
    figure.savefig(file, format="svg", metadata=WITHOUT_DATE)
