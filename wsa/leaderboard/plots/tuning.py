"""The headline metric of every trial against its learning rate, a curve per method."""

from __future__ import annotations

import numpy as np
from matplotlib.ticker import LogLocator, NullFormatter

from wsa.leaderboard.formats import decimals
from wsa.leaderboard.measures import axis, heading, places, shown
from wsa.leaderboard.plots.parts import svg
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
    rows = []
    with svg.settings():
        ax = svg.axes(640, 360, left=56)
        ax.grid(axis="y")
        ax.set_xscale("log")
        for name, tuning in tunings.items():
            key, mark = view.suite.methods[name].rate_key, view.mark(name)
            rates = np.array([trial.values[key] for trial in tuning.trials])
            values = np.array([shown(trial.states["unpruned"], metric) for trial in tuning.trials])
            chosen = [trial.method for trial in tuning.trials].index(tuning.chosen)
            drawn = {"marker": mark.marker, "color": mark.colour}
            ax.plot(rates, values, ms=4, mew=1, lw=1.4, **drawn)
            ax.plot(rates[chosen], values[chosen], ms=9, mew=1.5, lw=0, **drawn)
            for trial, rate, value in zip(tuning.trials, rates, values, strict=True):
                further = ", ".join(f"{k} {v:g}" for k, v in trial.values.items() if k != key)
                best = "chosen" if trial.method == tuning.chosen else ""
                score = decimals(value, places(metric))
                rows.append([mark.label, f"{rate:g}", further or "–", score, best or "–"])
        ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0)))
        ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        ax.xaxis.set_minor_formatter(NullFormatter())
        ax.set_xlabel("learning rate")
        ax.set_ylabel(axis(metric))
        ax.tick_params(axis="y", labelcolor=svg.MUTED)
        image = svg.to_svg(ax, "tuning", f"{title}. {caption}")
    columns = ["method", "learning rate", "further", axis(metric), "choice"]
    return [Picture("tuning", title, caption, image, Numbers(columns, rows))]
