"""A metric against a cost, with the methods that none beats on both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.ticker import FuncFormatter, Locator, LogLocator, MaxNLocator, NullFormatter

from wsa.leaderboard.entries import Entry
from wsa.leaderboard.formats import count
from wsa.leaderboard.measures import axis as axis_of
from wsa.leaderboard.measures import gain, places
from wsa.leaderboard.plots.parts import svg
from wsa.leaderboard.plots.parts.pictures import Mark, Numbers, Picture
from wsa.task import Metric


@dataclass(frozen=True)
class Point:
    """One method in a cost picture; methods of one family are joined by a line."""

    mark: Mark
    note: str
    x: float
    y: float
    low: float | None = None
    high: float | None = None
    hollow: bool = False
    family: str = ""


def pareto(
    name: str,
    title: str,
    caption: str,
    points: Sequence[Point],
    axis: str,
    metric: Metric,
    log: bool = False,
) -> Picture:
    """`metric` against a cost, and the front: the methods that none beats on both."""
    points = [p for p in points if np.isfinite(p.x) and (p.x > 0 or not log)]
    on_front = front([(p.x, gain(p.y, metric)) for p in points])
    with svg.settings():
        ax = svg.axes(400, 300, left=52)
        if log:
            ax.set_xscale("log")
            costs = [p.x for p in points] or [1.0]
            ax.xaxis.set_major_locator(_few_ticks(max(costs) / min(costs)))
            ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: count(value)))
            ax.xaxis.set_minor_formatter(NullFormatter())
        ax.grid(axis="both")
        best = sorted((points[i].x, points[i].y) for i in on_front)
        if best:
            xs, ys = zip(*best, strict=True)
            ax.step(xs, ys, where="post", color=svg.MUTED, lw=1.2, ls=(0, (3, 2)))
        for members in _families(points):
            ax.plot(
                [p.x for p in members], [p.y for p in members], color=members[0].mark.colour,
                lw=0.9, alpha=0.6,
            )  # fmt: skip
        for point in points:
            if point.low is not None and point.high is not None:
                ax.plot([point.x, point.x], [point.low, point.high], color=point.mark.colour, lw=1)
            ax.plot(
                point.x, point.y, point.mark.marker, ms=8, color=point.mark.colour, mew=1.6,
                mfc=svg.PAPER if point.hollow else point.mark.colour,
            )  # fmt: skip
        ax.margins(x=0.12, y=0.1)
        if not log:
            ax.set_xlim(0, 1.08 * max((p.x for p in points), default=1) or 1)
        ax.set_xlabel(axis)
        ax.set_ylabel(axis_of(metric))
        ax.tick_params(axis="y", labelcolor=svg.MUTED)
        image = svg.to_svg(ax, name, f"{title}. {caption}")
    rows = [
        [p.mark.label, p.note, f"{p.x:,.4g}" if p.x < 1e4 else f"{p.x:,.0f}",
         f"{p.y:.{places(metric)}f}", "yes" if i in on_front else "no"]
        for i, p in enumerate(points)
    ]  # fmt: skip
    columns = ["method", "state", axis, axis_of(metric), "front"]
    return Picture(name, title, caption, image, Numbers(columns, rows))


def _few_ticks(ratio: float) -> Locator:
    """Ticks for a logarithmic axis whose largest value is `ratio` times its smallest."""
    if ratio < 5:  # powers of ten would leave one tick, or none
        return MaxNLocator(4)
    return LogLocator(subs=(1, 2, 5) if ratio < 30 else (1,))


def _families(points: Sequence[Point]) -> list[list[Point]]:
    """The families of at least three methods, in the states they are quoted for, by cost."""
    groups: dict[str, list[Point]] = {}
    for point in points:
        if point.family and not point.hollow:
            groups.setdefault(point.family, []).append(point)
    return [sorted(group, key=lambda p: p.x) for group in groups.values() if len(group) > 2]


def front(points: Sequence[tuple[float, float]]) -> set[int]:
    """The indices of the (cost, gain) points that no other beats in one and equals in the other."""
    kept: set[int] = set()
    for i, (cost, own) in enumerate(points):
        beaten = any(c <= cost and g >= own and (c < cost or g > own) for c, g in points)
        if not beaten:
            kept.add(i)
    return kept


def trained(entries: Sequence[Entry]) -> list[Entry]:
    """The entries whose costs are drawn: what trained, as trained or pruned."""
    return [e for e in entries if e.method.kind != "majority" and e.state != "gate_only"]


def points_of(entries: Sequence[Entry], cost: str, unit: float = 1.0) -> list[Point]:
    """`entries` against their `cost`, where it is known, counted in `unit`."""
    return [
        Point(
            entry.mark, entry.state_label, getattr(entry, cost) / unit, entry.mean, entry.low,
            entry.high, hollow=not entry.headline, family=_joined(entry),
        )
        for entry in entries
        if getattr(entry, cost) is not None
    ]  # fmt: skip


def _joined(entry: Entry) -> str:
    """What a line joins in pictures of costs: a family, and of gated methods those gated alike."""
    if entry.control or not entry.method.family:
        return ""
    return f"{entry.method.family} {(entry.method.adapter or {}).get('gate', '')}"
