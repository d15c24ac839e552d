"""The differences as a picture."""

from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.typing import RcKeyType

from evaluation.findings import Findings
from evaluation.report import BLIND
from evaluation.trial import Trial
from evaluation.variants import changed, shipped
from evaluation.words import METRIC
from lib.embedding.schemes import BASELINE

STYLE: dict[RcKeyType, Any] = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "font.size": 9,
}
GROUPS = ("#8c8c8c", "#1f5fa8", "#7fb0dc")
UNDATED = {"Software": None}


def plot(findings: Findings, file: Path) -> None:
    """Draw what each contender is better by than the baseline, in both views, as a PNG."""
    shown = [v.name for v in shipped() if v.name != BASELINE.label]
    groups = [list(BLIND), shown, [v.name for v in changed(findings.dataset)]]
    colours = {name: colour for names, colour in zip(groups, GROUPS, strict=True) for name in names}
    with rc_context(STYLE):
        figure = Figure(figsize=(10, 0.8 + 0.24 * len(colours)), dpi=130, layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True)
        _draw(left, findings.main, colours, "four cuts in time")
        _draw(right, findings.leaking, colours, "each user cut apart (leaks)")
        left.tick_params(left=False)
        right.tick_params(left=False)
        left.set_yticks(range(len(colours)), list(colours))
        left.invert_yaxis()
        figure.supxlabel(f"{METRIC} less that of {BASELINE.label}, with 95 % intervals", fontsize=9)
        FigureCanvasAgg(figure)
        figure.savefig(file, format="png", metadata=UNDATED)


def _draw(axes: Any, trial: Trial, colours: dict[str, str], title: str) -> None:
    for row, (name, colour) in enumerate(colours.items()):
        found = trial.over(name, BASELINE.label, METRIC)
        axes.plot([found.lower, found.upper], [row, row], color=colour, linewidth=1.8)
        axes.plot(found.mean, row, "o", color=colour, markersize=5)
    axes.axvline(0.0, color="#444444", linewidth=0.8)
    axes.grid(axis="x", alpha=0.3)
    size = f"{len(trial.users)} cases of {trial.people} users"
    axes.set_title(f"{title}: {size}", loc="left", fontsize=9)
