"""The differences to the blend as a picture."""

from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from evaluation.fit.findings import BLEND, METRIC, SINGLE, Findings, Judged
from evaluation.picture import GROUPS, STYLE, UNDATED

ALONE, FITTED, _ = GROUPS


def plot(findings: Findings, file: Path) -> None:
    """Draw what each contender is better by than the blend, on each dataset, as a PNG."""
    with rc_context(STYLE):
        rows = max(len(judged.contenders) for judged in findings.judged)
        size = (5 * len(findings.judged) + 1.5, 1.2 + 0.3 * rows)
        figure = Figure(figsize=size, dpi=130, layout="constrained")
        panels = figure.subplots(1, len(findings.judged), squeeze=False)[0]
        for axes, judged in zip(panels, findings.judged, strict=True):
            _draw(axes, judged)
        figure.supxlabel(f"{METRIC} less that of the blend, with 95 % intervals", fontsize=9)
        FigureCanvasAgg(figure)
        figure.savefig(file, format="png", metadata=UNDATED)


def _draw(axes: Any, judged: Judged) -> None:
    names = [name for name in judged.contenders if name != BLEND]
    for row, name in enumerate(names):
        colour = ALONE if name in SINGLE else FITTED
        found = judged.main.over(name, BLEND, METRIC)
        axes.plot([found.lower, found.upper], [row, row], color=colour, linewidth=1.8)
        axes.plot(found.mean, row, "o", color=colour, markersize=5)
    axes.axvline(0.0, color="#444444", linewidth=0.8)
    axes.grid(axis="x", alpha=0.3)
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(left=False)
    axes.invert_yaxis()
    size = f"{len(judged.main.users)} cases of {judged.main.people} users"
    axes.set_title(f"{judged.dataset.name}: {size}", loc="left", fontsize=9)
