"""Lines over the pruning threshold τ: what other thresholds would have left."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import FuncFormatter

from wsa.leaderboard.formats import decimals
from wsa.leaderboard.plots.parts import svg
from wsa.leaderboard.plots.parts.lines import Line
from wsa.leaderboard.plots.parts.pictures import Numbers, Picture

if TYPE_CHECKING:
    from wsa.leaderboard.view import SuiteView
    from wsa.records.evidence import ThresholdPoint


def over_thresholds(
    view: SuiteView,
    name: str,
    title: str,
    axis: str,
    value: Callable[[ThresholdPoint], float],
    digits: int = 2,
) -> list[Picture]:
    """`value` of the first seed's adapters at other thresholds; none where none were tried."""
    found = view.results.thresholds
    points: dict[str, list[ThresholdPoint]] = {}
    for point in found.points if found else ():
        if point.method in view.suite.methods:
            points.setdefault(point.method, []).append(point)
    if not points:
        return []
    used = sorted(
        {run.result.rank.threshold for name in points for run in view.results.runs[name]
         if run.result.rank is not None}
    )  # fmt: skip
    caption = (
        f"Seed {found.seed}, the first, alone, on {found.sentences} {found.evaluated_on} "
        "sentences. The suite’s own threshold (dashed) was fixed before; nothing is chosen by this."
    )
    lines = [
        Line(
            view.mark(method), np.array([p.threshold for p in those]),
            np.array([value(p) for p in those]),
        )
        for method, those in points.items()
    ]  # fmt: skip
    return [_sweep(name, title, caption, lines, ("threshold τ", axis), used, digits)]


def _sweep(
    name: str,
    title: str,
    caption: str,
    lines: Sequence[Line],
    axis: tuple[str, str],
    used: Sequence[float],
    digits: int,
) -> Picture:
    """Lines over a setting that was varied, zero to large; `used` values of it are marked."""
    tried = np.unique(np.concatenate([line.x for line in lines]))
    with svg.settings():
        ax = svg.axes(400, 300, left=56, top=22)
        ax.grid(axis="y")
        smallest = tried[tried > 0].min(initial=1.0)
        ax.set_xscale("symlog", linthresh=smallest, linscale=0.6)  # logarithmic, with a zero
        for line in lines:
            ax.plot(
                line.x, line.y, marker=line.mark.marker, ms=6, mew=0, lw=1.4,
                color=line.mark.colour,
            )  # fmt: skip
        for value in used:
            ax.axvline(value, color=svg.INK, lw=1, ls=(0, (4, 3)))
            ax.annotate(
                f"τ = {value:g}", (value, 1), xycoords=("data", "axes fraction"), xytext=(0, 4),
                textcoords="offset points", ha="center", fontsize=10,
            )  # fmt: skip
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.set_xlabel(axis[0])
        ax.set_ylabel(axis[1])
        ax.tick_params(axis="y", labelcolor=svg.MUTED)
        image = svg.to_svg(ax, name, f"{title}. {caption}")
    values = [dict(zip(line.x, line.y, strict=True)) for line in lines]
    rows = [[f"{x:g}", *(decimals(value.get(x), digits) for value in values)] for x in tried]
    columns = [axis[0], *(f"{line.mark.label}: {axis[1]}" for line in lines)]
    return Picture(name, title, caption, image, Numbers(columns, rows))
