"""The learning curve of every method, mean over seeds."""

import numpy as np

from wsa.leaderboard.plots.parts.lines import Line, curves, smooth
from wsa.leaderboard.plots.parts.pictures import Picture
from wsa.leaderboard.view import SuiteView

SECTION, ORDER = "curves", 10


def draw(view: SuiteView) -> list[Picture]:
    lines = []
    for name, runs in view.results.runs.items():
        if view.suite.methods[name].kind == "majority":
            continue
        those = [run.curve for run in runs if run.curve is not None and len(run.curve)]
        those = [curve for curve in those if np.isfinite(curve["loss"]).any()]
        if not those:
            continue
        shortest = min(map(len, those))
        loss = np.mean([curve["loss"].to_numpy(float)[:shortest] for curve in those], axis=0)
        lines.append(
            Line(view.mark(name), those[0]["step"].to_numpy(float)[:shortest], smooth(loss))
        )
    if not lines:
        return []
    return [
        curves(
            "learning", "Learning curves",
            "Training loss, mean over seeds, smoothed. The seeds lie on the pages of the methods.",
            lines, ("optimiser step", "training loss"), height=320,
        )
    ]  # fmt: skip
