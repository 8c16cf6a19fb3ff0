"""The headline metric against a cost, each method named beside its mark."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from wsa.evidence.statistics import t_interval
from wsa.leaderboard.entries import Entry
from wsa.leaderboard.formats import DASH, decimals
from wsa.leaderboard.measures import axis as axis_of
from wsa.leaderboard.measures import gain, places
from wsa.leaderboard.plots.parts import labels
from wsa.leaderboard.plots.parts.axes import ends, frame, log_ticks, ticks
from wsa.leaderboard.plots.parts.canvas import Canvas, both
from wsa.leaderboard.plots.parts.marks import apart, whisker
from wsa.leaderboard.plots.parts.pictures import Numbers, Picture, slug
from wsa.leaderboard.results import Difference, RunView
from wsa.leaderboard.view import SuiteView

MOST_LABELS = 14
BEST, BEST_NARROW = 7, 4  # that are named, where there are more; on a narrow screen
SPREAD = 20  # a cost whose largest value is so many times its smallest is drawn by its logarithm


@dataclass(frozen=True)
class Point:
    """A method in its headline state: what it costs, with an interval where that varies."""

    entry: Entry
    cost: float
    low: float | None = None
    high: float | None = None


def headline(view: SuiteView) -> list[Entry]:
    """The entries whose costs are drawn: what trained, in its headline state."""
    return [e for e in view.entries if e.headline and e.method.kind != "majority"]


def by_run(view: SuiteView, cost: Callable[[RunView], float | None]) -> list[Point]:
    """The mean of `cost` over each method's runs, with its 95 % interval; none where unknown."""
    points = []
    for entry in headline(view):
        values = [value for value in map(cost, entry.runs) if value is not None]
        if values:
            points.append(of_values(entry, values))
    return points


def of_values(entry: Entry, values: Sequence[float]) -> Point:
    """The mean of `values`, with its 95 % interval where they differ."""
    mean = sum(values) / len(values)
    if len(values) < 2 or max(values) == min(values):
        return Point(entry, mean)
    low, high = map(float, t_interval(np.array(values, float)))
    return Point(entry, mean, low, high)


def against_cost(
    view: SuiteView,
    name: str,
    title: str,
    caption: str,
    points: Sequence[Point],
    axis: str,
    words: Callable[[float], str],
    exact: Callable[[float], str] | None = None,
) -> list[Picture]:
    """The metric against a cost, and the front beyond noise; none where no cost is known.

    Args:
        axis: what the cost is, with its unit.
        words: the cost as it is written at the axis.
        exact: as it is written in the table of numbers, where that has more digits.
    """
    points = [p for p in points if math.isfinite(p.cost) and p.cost > 0]
    if len(points) < 2:
        return []
    points = sorted(points, key=lambda p: (p.cost, -gain(p.entry.mean, view.metric)))
    costs = [p.cost for p in points]
    log = max(costs) > SPREAD * min(costs)
    on_front = front(points, view)
    drawings = [
        _drawing(view, points, on_front, *size, axis, words, log)
        for size in ((720, 390), (360, 440))
    ]
    metric = view.metric
    write = exact or words
    rows = [
        [p.entry.method.title, p.entry.state_label or DASH, write(p.cost),
         *(DASH if v is None else write(v) for v in (p.low, p.high)),
         *(decimals(v, places(metric)) for v in (p.entry.mean, p.entry.low, p.entry.high)),
         p.entry.n, "yes" if i in on_front else "no"]
        for i, p in enumerate(points)
    ]  # fmt: skip
    columns = ["method", "state", axis, "95 % from", "to", axis_of(metric), "95 % from", "to",
               "n", "front"]  # fmt: skip
    if log:
        caption += " Logarithmic."
    if len(on_front) < 2:
        caption += " No front is drawn: no dearer method is clearly better than the cheapest."
    if len(points) > MOST_LABELS:
        caption += f" The best {BEST} are named, on a narrow screen {BEST_NARROW}."
    image = both(*drawings, title)
    name = f"{slug(metric.name)}-{name}"
    return [Picture(name, title, caption, image, Numbers(columns, rows))]


def front(points: Sequence[Point], view: SuiteView) -> list[int]:
    """From the cheapest on, each that is better than the last one on the front beyond noise.

    Beyond noise: the interval of their difference, seed by seed on the same sentences, leaves
    zero out. `points` are in the order of their costs.
    """
    kept: list[int] = []
    for i, point in enumerate(points):
        if not kept:
            kept.append(i)
            continue
        last = points[kept[-1]].entry
        own = (point.entry.name, point.entry.state)
        found = view.results.difference(own, (last.name, last.state))
        if found and _better(found, view):
            if point.cost == points[kept[-1]].cost:
                kept.pop()
            kept.append(i)
    return kept


def _better(found: Difference, view: SuiteView) -> bool:
    return found.clear and gain(found.points, view.metric) > 0


def _drawing(
    view: SuiteView,
    points: Sequence[Point],
    on_front: Sequence[int],
    width: float,
    height: float,
    axis: str,
    words: Callable[[float], str],
    log: bool,
) -> Canvas:
    metric, wide = view.metric, width > 400
    costs = [p.cost for p in points]
    # intervals of a cost, but none so wide that it squeezes the others
    reach = max(costs) - min(costs)
    reached = [
        min(max(v, min(costs) - 0.2 * reach), max(costs) + 0.2 * reach)
        for p in points for v in (p.low, p.high) if v is not None
    ]  # fmt: skip
    if log:
        room = 10 ** (0.07 * math.log10(max(costs) / min(costs)))
        x = (min(costs) / room, max(costs) * room)
        marks = log_ticks(*x, words, 7 if wide else 4)
    else:
        x = ends([*costs, *reached], 0.07)
        x = (max(x[0], 0.0), x[1])
        marks = [(value, words(value)) for value, _ in ticks(*x, 7 if wide else 4)]
    means = [p.entry.mean for p in points]
    reach = 0.3 * (max(means) - min(means)) or 1.0
    edges = [
        min(max(v, min(means) - reach), max(means) + reach)
        for p in points for v in (p.entry.low, p.entry.high) if v is not None
    ]  # fmt: skip
    y = ends([*means, *edges], 0.04)
    area = frame(width, height, x, y, right=18, warp=math.log10 if log else float)
    canvas = area.canvas
    area.upwards(ticks(*y), axis_of(metric))
    area.across(marks, axis, grid=False)
    spots = apart([(area.x(p.cost), area.y(p.entry.mean)) for p in points])
    taken = _steps(canvas, [spots[i] for i in on_front])
    for members in _families(points):
        line = [spots[i] for i in members]
        canvas.line(line, points[members[0]].entry.mark.variable, 0.9, opacity=0.5)
    for row, (point, (px, py)) in enumerate(zip(points, spots, strict=True)):
        entry, colour = point.entry, point.entry.mark.variable
        with canvas.group(row):
            taken += whisker(area, px, entry.low, entry.high, colour, places(metric))
            if point.low is not None and point.high is not None:
                low, high = max(point.low, x[0]), min(point.high, x[1])
                sides = [(min(area.x(low), px), py), (max(area.x(high), px), py)]
                canvas.line(sides, colour, 1.4)
                taken += labels.along(*sides)
            canvas.mark(entry.mark.marker, px, py, colour)
        taken.append(labels.around(px, py))
    best = sorted(range(len(points)), key=lambda i: -gain(points[i].entry.mean, metric))
    named = best if len(best) <= MOST_LABELS else best[: BEST if wide else BEST_NARROW]
    wanted = [_label(points[i].entry, *spots[i]) for i in named]
    within = labels.Box(area.left + 3, area.top - 4, width - 2, area.bottom - 3)
    labels.write(canvas, wanted, labels.place(wanted, taken, within))
    return canvas


def _steps(canvas: Canvas, spots: Sequence[labels.Point]) -> list[labels.Box]:
    """The front as steps from each of its marks to the next; returns what it covers."""
    line: list[labels.Point] = []
    for spot in spots:
        line += [(spot[0], line[-1][1]), spot] if line else [spot]
    if len(line) < 2:
        return []
    canvas.line(line, "muted", 1.2, dash=(4, 3))
    return [
        box for start, end in zip(line, line[1:], strict=False) for box in labels.along(start, end)
    ]


def _label(entry: Entry, x: float, y: float) -> labels.Label:
    lines = [line for line in labels.named(entry.method.title) if line]
    return labels.Label(x, y, lines, entry.mark.variable)


def _families(points: Sequence[Point]) -> list[list[int]]:
    """The families of at least three methods, and of gated methods those gated alike, by cost."""
    groups: dict[str, list[int]] = {}
    for i, point in enumerate(points):
        method = point.entry.method
        if not point.entry.control and method.family:
            kind = f"{method.family} {(method.adapter or {}).get('gate', '')}"
            groups.setdefault(kind, []).append(i)
    return [group for group in groups.values() if len(group) > 2]
