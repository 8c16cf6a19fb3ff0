"""What a run says against what is, where labels are numbers."""

import numpy as np

from wsa.leaderboard.plots.parts import svg
from wsa.leaderboard.plots.parts.pictures import Numbers, Picture
from wsa.leaderboard.results import RunView
from wsa.leaderboard.view import SuiteView

SECTION, ORDER = "errors", 10
MOST = 400  # dots


def draw_run(view: SuiteView, run: RunView) -> list[Picture]:
    table = run.predictions
    if table is None or view.task.classes:
        return []
    order = np.argsort(table["label"].to_numpy(), kind="stable")
    labels = table["label"].to_numpy(float)[order]
    said = table["predicted"].to_numpy(float)[order]
    few = np.unique(np.linspace(0, len(labels) - 1, min(MOST, len(labels))).round().astype(int))
    title = "What the run says against what is"
    caption = (
        f"One dot a sentence, in the headline state; {len(few)} of {len(labels)} "
        "are drawn. On the line, both are equal."
    )
    with svg.settings():
        ax = svg.axes(400, 360, left=56)
        ax.grid(axis="both")
        ends = [float(min(labels.min(), said.min())), float(max(labels.max(), said.max()))]
        ax.plot(ends, ends, color=svg.INK, lw=1, ls=(0, (4, 3)))
        colour = view.mark(run.method).colour
        ax.plot(labels[few], said[few], "o", ms=3.4, mew=0, alpha=0.5, color=colour)
        ax.set_xlabel("is")
        ax.set_ylabel("said")
        ax.tick_params(axis="y", labelcolor=svg.MUTED)
        image = svg.to_svg(ax, "said-against-is", f"{title}. {caption}")
    return [Picture("said-against-is", title, caption, image, _tenths(labels, said))]


def _tenths(labels: np.ndarray, said: np.ndarray) -> Numbers:
    """The sentences in ten groups by what is."""
    rows = []
    for group in np.array_split(np.arange(len(labels)), min(10, len(labels))):
        is_, says = labels[group], said[group]
        rows.append(
            [f"{is_[0]:.2f} to {is_[-1]:.2f}", len(group), f"{is_.mean():.3f}",
             f"{says.mean():.3f}", f"{((says - is_) ** 2).mean():.4f}"]
        )  # fmt: skip
    return Numbers(["is", "sentences", "mean of is", "mean of said", "mean squared error"], rows)
