"""The headline metric of every trial against its learning rate, a curve per method."""

from __future__ import annotations

import math

from wsa.leaderboard.formats import decimals
from wsa.leaderboard.measures import axis, heading, places, shown
from wsa.leaderboard.plots.parts.axes import ends, frame, log_ticks, ticks
from wsa.leaderboard.plots.parts.canvas import NARROW
from wsa.leaderboard.plots.parts.pictures import Numbers, Picture
from wsa.leaderboard.view import SuiteView

SECTION, ORDER = "tuning", 10


def draw(view: SuiteView) -> list[Picture]:
    tunings, metric = view.results.tunings, view.metric
    if not tunings:
        return []
    title = f"{heading(metric)} against learning rate"
    caption = (
        "Every trial, as trained, on training sentences that no trial trained on; the large mark "
        "is the chosen one. The rate is the body’s; of a method that trains the head alone, the "
        "head’s."
    )
    curves, rows = {}, []
    for name, tuning in tunings.items():
        key, mark = view.suite.methods[name].rate_key, view.mark(name)
        curves[name] = []
        for trial in tuning.trials:
            rate, value = trial.values[key], shown(trial.states["unpruned"], metric)
            chosen = trial.method == tuning.chosen
            curves[name].append((rate, value, chosen))
            further = ", ".join(f"{k} {v:g}" for k, v in trial.values.items() if k != key)
            score = decimals(value, places(metric))
            choice = "chosen" if chosen else "–"
            rows.append([mark.label, f"{rate:g}", further or "–", score, choice])
    rates = [rate for curve in curves.values() for rate, _, _ in curve]
    heights = ends([value for curve in curves.values() for _, value, _ in curve])
    low, high = min(rates), max(rates)
    area = frame(NARROW, 320, (low / 1.3, high * 1.3), heights, top=44, warp=math.log10)
    area.upwards(ticks(*heights), axis(metric))
    area.across(log_ticks(low, high, "{:g}".format, 5), "learning rate (logarithmic)", grid=False)
    for name, curve in curves.items():
        mark = view.mark(name)
        points = [(area.x(rate), area.y(value)) for rate, value, _ in curve]
        area.canvas.line(points, mark.variable, 1.4)
        for (x, y), (_, _, chosen) in zip(points, curve, strict=True):
            area.canvas.mark(mark.marker, x, y, mark.variable, size=11 if chosen else 6)
    columns = ["method", "learning rate", "further", axis(metric), "choice"]
    image = area.canvas.svg(title)
    return [Picture("tuning", title, caption, image, Numbers(columns, rows))]
