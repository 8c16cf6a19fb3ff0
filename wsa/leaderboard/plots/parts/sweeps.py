"""Lines over the pruning threshold τ: what other thresholds would have left."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from wsa.leaderboard.formats import decimals
from wsa.leaderboard.plots.parts.axes import ends, frame, log_ticks, ticks
from wsa.leaderboard.plots.parts.canvas import NARROW
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
    smallest = float(tried[tried > 0].min(initial=1.0))

    def warp(value: float) -> float:
        """Logarithmic, with a zero."""
        return value / smallest if value < smallest else 1 + math.log10(value / smallest)

    heights = ends([float(v) for line in lines for v in line.y])
    largest = max(float(tried.max()), smallest)
    area = frame(NARROW, 300, (-0.1 * smallest, largest * 1.15), heights, top=44, warp=warp)
    canvas = area.canvas
    area.upwards(ticks(*heights), axis[1])
    area.across([(0.0, "0"), *log_ticks(smallest, largest, "{:g}".format, 4)], axis[0], grid=False)
    for value in used:
        x = area.x(value)
        canvas.line([(x, area.top - 4), (x, area.bottom)], "ink", dash=(4, 3))
        canvas.text(x, area.top - 8, f"τ = {value:g}", size=11, anchor="middle", halo=True)
    for line in lines:
        points = [(area.x(x), area.y(y)) for x, y in zip(line.x, line.y, strict=True)]
        canvas.line(points, line.mark.variable, 1.4)
        for x, y in points:
            canvas.mark(line.mark.marker, x, y, line.mark.variable, size=7)
    image = canvas.svg(title)
    values = [dict(zip(line.x, line.y, strict=True)) for line in lines]
    rows = [[f"{x:g}", *(decimals(value.get(x), digits) for value in values)] for x in tried]
    columns = [axis[0], *(f"{line.mark.label}: {axis[1]}" for line in lines)]
    return Picture(name, title, caption, image, Numbers(columns, rows))
