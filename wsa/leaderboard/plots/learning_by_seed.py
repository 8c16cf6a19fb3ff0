"""The learning curve of every seed of a method; a run's page makes its own stand out."""

from dataclasses import replace

import numpy as np

from wsa.leaderboard.plots.parts.lines import Line, curves, smooth
from wsa.leaderboard.plots.parts.pictures import Picture, slug
from wsa.leaderboard.results import RunView
from wsa.leaderboard.view import SuiteView

SECTION, ORDER = "curves", 20


def draw_method(view: SuiteView, name: str) -> list[Picture]:
    # a method's page and those of its runs share it
    return view.once(("learning by seed", name), lambda: _draw(view, name))


def draw_run(view: SuiteView, run: RunView) -> list[Picture]:
    same = draw_method(view, run.method)
    return [replace(picture, outstanding=f"seed-{run.seed}") for picture in same]


def _draw(view: SuiteView, name: str) -> list[Picture]:
    if view.suite.methods[name].kind == "majority":
        return []
    lines = []
    for run in view.results.runs[name]:
        if run.curve is None or not np.isfinite(run.curve["loss"]).any():
            continue
        mark = replace(view.mark(name), label=f"seed {run.seed}")
        steps, loss = run.curve["step"].to_numpy(float), run.curve["loss"].to_numpy(float)
        lines.append(Line(mark, steps, smooth(loss), group=f"seed-{run.seed}"))
    if not lines:
        return []
    return [
        curves(
            f"curve-{slug(name)}", "Learning curves",
            "Training loss of every seed, smoothed.", lines, ("optimiser step", "training loss"),
        )
    ]  # fmt: skip
