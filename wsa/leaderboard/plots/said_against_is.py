"""What a run says against what is, where labels are numbers."""

import numpy as np

from wsa.leaderboard.plots.parts.axes import ends, frame, ticks
from wsa.leaderboard.plots.parts.canvas import NARROW
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
    both = ends([*labels.tolist(), *said.tolist()], 0.03)
    area = frame(NARROW, 360, both, both)
    area.upwards(ticks(*both), "said")
    area.across(ticks(*both), "is")
    corners = [(area.x(value), area.y(value)) for value in both]
    area.canvas.line(corners, "ink", dash=(4, 3))
    colour = view.mark(run.method).variable
    for i in few:
        x, y = area.x(labels[i]), area.y(said[i])
        area.canvas.mark("o", x, y, colour, size=3.4, opacity=0.5)
    image = area.canvas.svg(title)
    return [Picture(f"said-against-is-{run.seed}", title, caption, image, _tenths(labels, said))]


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
