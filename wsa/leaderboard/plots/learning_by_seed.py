"""The learning curve of every seed of a method."""

from dataclasses import replace

import numpy as np

from wsa.leaderboard.plots.parts.lines import Line, curves, smooth
from wsa.leaderboard.plots.parts.pictures import Picture, slug
from wsa.leaderboard.view import SuiteView

SECTION, ORDER = "curves", 20


def draw_method(view: SuiteView, name: str) -> list[Picture]:
    if view.suite.methods[name].kind == "majority":
        return []
    lines = []
    for run in view.results.runs[name]:
        if run.curve is None or not np.isfinite(run.curve["loss"]).any():
            continue
        mark = replace(view.mark(name), label=f"seed {run.seed}")
        steps, loss = run.curve["step"].to_numpy(float), run.curve["loss"].to_numpy(float)
        lines.append(Line(mark, steps, smooth(loss)))
    if not lines:
        return []
    return [
        curves(
            f"curve-{slug(name)}", "Learning curves",
            "Training loss of every seed, smoothed.", lines, ("optimiser step", "training loss"),
        )
    ]  # fmt: skip
