"""The site's pictures, each with the numbers behind it. Nothing here reads a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from matplotlib.ticker import FuncFormatter, Locator, LogLocator, MaxNLocator, NullFormatter

from wsa.leaderboard import svg
from wsa.leaderboard.formats import count, decimals

LABEL = 26  # characters of a method's title that fit beside an axis


@dataclass(frozen=True)
class Table:
    """The numbers behind a picture, for those who cannot see it or want them exactly."""

    columns: Sequence[str]
    rows: Sequence[Sequence[object]]


@dataclass(frozen=True)
class Picture:
    """A picture with its caption and its table."""

    name: str
    title: str
    caption: str
    svg: Markup
    table: Table


@dataclass(frozen=True)
class Mark:
    """How a method looks in every picture: a colour, a marker, a short label."""

    label: str
    colour: str
    variable: str  # the CSS variable that `colour` stands for
    marker: str = "o"

    @property
    def short(self) -> str:
        return shorten(self.label)


@dataclass(frozen=True)
class Bar:
    """One row of a dot-and-interval picture; percent or points."""

    mark: Mark
    note: str
    centre: float
    low: float | None
    high: float | None
    dots: Sequence[tuple[str, float]] = ()
    hollow: bool = False


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


@dataclass(frozen=True)
class Line:
    """A curve; `group` names the run or method it belongs to."""

    mark: Mark
    x: np.ndarray
    y: np.ndarray
    group: str = ""
    faint: bool = False


def shorten(text: str, limit: int = LABEL) -> str:
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def intervals(
    name: str,
    title: str,
    caption: str,
    bars: Sequence[Bar],
    axis: str,
    limits: tuple[float, float] | None = None,
    zero: bool = False,
) -> Picture:
    """Dots (one a seed), mean and 95 % interval of every row, one under the other.

    Args:
        limits: of the axis; a row left of them is an arrow with its number.
        zero: whether the rows are differences: a line marks zero.
    """
    with svg.settings():
        labels = [_label(bar) for bar in reversed(bars)]
        left = svg.text_width(labels) + 14
        ax = svg.axes(left + 400, 50 + 25 * len(bars), left)
        if limits:
            ax.set_xlim(*limits)
        for y, bar in enumerate(reversed(bars)):
            colour = bar.mark.colour
            if limits and bar.centre < limits[0]:
                ax.annotate(
                    f"◂ {bar.centre:.1f}", (0, y), xycoords=("axes fraction", "data"),
                    xytext=(2, 0), textcoords="offset points", va="center", color=colour,
                )  # fmt: skip
                continue
            if bar.low is not None and bar.high is not None:
                ax.plot([bar.low, bar.high], [y, y], color=colour, lw=2.2, solid_capstyle="butt")
            if bar.dots:
                values = [value for _, value in bar.dots]
                ax.plot(
                    values, np.full(len(values), y - 0.27), "o", ms=3.4, color=colour, mew=0,
                    alpha=0.65,
                )  # fmt: skip
            ax.plot(
                bar.centre, y, bar.mark.marker, ms=7, color=colour, mew=1.5,
                mfc=svg.PAPER if bar.hollow else colour,
            )  # fmt: skip
        if zero:
            ax.axvline(0, color=svg.INK, lw=1)
        ax.set_yticks(range(len(bars)), labels)
        ax.set_ylim(-0.7, len(bars) - 0.4)
        ax.spines["left"].set_visible(False)
        ax.set_xlabel(axis)
        if not limits:
            ax.margins(x=0.04)
        image = svg.to_svg(ax, name, f"{title}. {caption}")
    rows = [
        [bar.mark.label, bar.note, *map(decimals, (bar.centre, bar.low, bar.high)),
         ", ".join(f"{label}: {value:.2f}" for label, value in bar.dots) or "–"]
        for bar in bars
    ]  # fmt: skip
    columns = ["", "", "mean" if not zero else "difference", "95 % from", "to", "per seed"]
    if zero:
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    return Picture(name, title, caption, image, Table(columns, rows))


def _label(bar: Bar) -> str:
    return shorten(bar.mark.label, 34) + (f", {bar.note}" if bar.note else "")


def pareto(
    name: str, title: str, caption: str, points: Sequence[Point], axis: str, log: bool
) -> Picture:
    """Accuracy against a cost, and the front: the methods that none beats on both."""
    points = [p for p in points if np.isfinite(p.x) and (p.x > 0 or not log)]
    on_front = front([(p.x, p.y) for p in points])
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
        ax.set_ylabel("accuracy, %")
        ax.tick_params(axis="y", labelcolor=svg.MUTED)
        image = svg.to_svg(ax, name, f"{title}. {caption}")
    rows = [
        [p.mark.label, p.note, f"{p.x:,.4g}" if p.x < 1e4 else f"{p.x:,.0f}", f"{p.y:.2f}",
         "yes" if i in on_front else "no"]
        for i, p in enumerate(points)
    ]  # fmt: skip
    return Picture(
        name, title, caption, image, Table(["method", "state", axis, "accuracy, %", "front"], rows)
    )


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
    for i, (cost, gain) in enumerate(points):
        beaten = any(c <= cost and g >= gain and (c < cost or g > gain) for c, g in points)
        if not beaten:
            kept.add(i)
    return kept


def curves(
    name: str,
    title: str,
    caption: str,
    lines: Sequence[Line],
    axis: tuple[str, str],
    height: float = 270,
) -> Picture:
    """Lines over training steps, each labelled at its end."""
    with svg.settings():
        ends = [line for line in lines if not line.faint and line.mark.label]
        right = svg.text_width(line.mark.short for line in ends) + 16
        ax = svg.axes(420 + right, height, left=56, right=right)
        ax.grid(axis="y")
        for line in lines:
            x, y = thin(line.x, line.y)
            (drawn,) = ax.plot(
                x, y, color=line.mark.colour, lw=0.8 if line.faint else 1.7,
                alpha=0.45 if line.faint else None,
            )  # fmt: skip
            if line.group:
                drawn.set_gid(f"class:{line.group}")
        _label_ends(ax, ends)
        ax.set_xlabel(axis[0])
        ax.set_ylabel(axis[1])
        ax.tick_params(axis="y", labelcolor=svg.MUTED)
        ax.margins(x=0.01)
        image = svg.to_svg(ax, name, f"{title}. {caption}")
    return Picture(name, title, caption, image, _sampled(lines, axis))


def sweep(
    name: str,
    title: str,
    caption: str,
    lines: Sequence[Line],
    axis: tuple[str, str],
    used: Sequence[float],
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
    rows = [[f"{x:g}", *(decimals(value.get(x)) for value in values)] for x in tried]
    columns = [axis[0], *(f"{line.mark.label}: {axis[1]}" for line in lines)]
    return Picture(name, title, caption, image, Table(columns, rows))


def _label_ends(ax, lines: Sequence[Line]) -> None:
    """The labels of `lines` right of their ends, moved apart where they would overlap."""
    ends = [(line, line.y[np.isfinite(line.y)]) for line in lines]
    ends = sorted(((y[-1], line) for line, y in ends if len(y)), key=lambda end: end[0])
    if not ends:
        return
    to_axes = ax.transData + ax.transAxes.inverted()
    wanted = [to_axes.transform((0, value))[1] for value, _ in ends]
    for place, (_, line) in zip(spread(wanted, 0.075), ends, strict=True):
        ax.annotate(
            line.mark.short, (1, place), xycoords="axes fraction", xytext=(5, 0),
            textcoords="offset points", va="center", color=line.mark.colour, fontsize=11,
            annotation_clip=False,
        )  # fmt: skip


def spread(wanted: Sequence[float], gap: float) -> list[float]:
    """Ascending places near the `wanted` ones (ascending), at least `gap` apart, around 0 to 1."""
    places: list[float] = []
    for want in wanted:
        places.append(max(want, places[-1] + gap) if places else want)
    excess = places[-1] - 1.0
    if excess > 0:
        for i in reversed(range(len(places))):
            limit = 1.0 if i == len(places) - 1 else places[i + 1] - gap
            places[i] = min(places[i], limit)
    return places


def thin(x: np.ndarray, y: np.ndarray, limit: int = 80) -> tuple[np.ndarray, np.ndarray]:
    """At most `limit` points: means of neighbouring ones, the first and the last kept."""
    keep = np.isfinite(y)
    x, y = x[keep], y[keep]
    if len(x) <= limit:
        return x, y
    parts = np.array_split(np.arange(1, len(x) - 1), limit - 2)
    groups = [np.array([0]), *parts, np.array([len(x) - 1])]
    return (
        np.array([x[g].mean() for g in groups]),
        np.array([y[g].mean() for g in groups]),
    )


def _sampled(lines: Sequence[Line], axis: tuple[str, str]) -> Table:
    """About ten steps of every labelled line."""
    lines = [line for line in lines if line.mark.label and len(line.x)]
    if not lines:
        return Table([axis[0]], [])
    longest = max(lines, key=lambda line: len(line.x))
    steps = longest.x[np.unique(np.linspace(0, len(longest.x) - 1, 11).round().astype(int))]
    rows = []
    for step in steps:
        row: list[object] = [f"{step:,.0f}"]
        for line in lines:
            value = line.y[np.abs(line.x - step).argmin()] if step <= line.x[-1] else np.nan
            row.append(f"{value:.4f}" if np.isfinite(value) else "–")
        rows.append(row)
    return Table([axis[0], *(line.mark.label for line in lines)], rows)


def ranks(
    name: str, title: str, caption: str, cells: Mapping[tuple[str, str], float], largest: int
) -> Picture:
    """Effective rank, layers down and projections across, as a heat map with its numbers."""
    layers = list(dict.fromkeys(layer for layer, _ in cells))
    projections = list(dict.fromkeys(projection for _, projection in cells))
    grid = np.array([[cells.get((la, pr), np.nan) for pr in projections] for la in layers])
    with svg.settings():
        left = svg.text_width(layers) + 16
        width, height = left + 12 + 82 * len(projections), 38 + 25 * len(layers)
        ax = svg.axes(width, height, left, top=30, bottom=8)
        ax.grid(False)
        for (row, column), value in np.ndenumerate(grid):
            if not np.isfinite(value):
                continue
            share = value / largest if largest else 0.0
            ax.add_patch(_cell(column, row, svg.heat(share)))
            ax.text(
                column, row, f"{value:.1f}", ha="center", va="center", fontsize=11,
                color=svg.PAPER if share > 0.5 else svg.INK,
            )  # fmt: skip
        ax.set_xlim(-0.5, len(projections) - 0.5)
        ax.set_ylim(len(layers) - 0.5, -0.5)
        ax.set_xticks(range(len(projections)), [shorten(p, 14) for p in projections])
        ax.set_yticks(range(len(layers)), [shorten(layer, 14) for layer in layers])
        ax.tick_params(length=0)
        ax.xaxis.tick_top()
        for spine in ax.spines.values():
            spine.set_visible(False)
        image = svg.to_svg(ax, name, f"{title}. {caption}")
    rows = [
        [layer, *(f"{v:.2f}" if np.isfinite(v) else "–" for v in grid[i])]
        for i, layer in enumerate(layers)
    ]
    return Picture(name, title, caption, image, Table(["layer", *projections], rows))


def _cell(column: int, row: int, colour: str):
    from matplotlib.patches import Rectangle

    return Rectangle((column - 0.48, row - 0.47), 0.96, 0.94, facecolor=colour, edgecolor="none")


def bands(
    name: str,
    title: str,
    caption: str,
    mark: Mark,
    steps: np.ndarray,
    quantiles: Mapping[str, np.ndarray],
    level: tuple[float, str],
    axis: tuple[str, str],
) -> Picture:
    """How a crowd of values moves: nested bands between quantiles, the median, a level.

    Args:
        quantiles: name → values over `steps`, from the lowest quantile to the highest, an odd
            number of them, the median in the middle.
    """
    names, values = list(quantiles), list(quantiles.values())
    middle = len(values) // 2
    with svg.settings():
        ax = svg.axes(400, 260, left=56)
        ax.grid(axis="y")
        for i in range(middle):
            ax.fill_between(steps, values[i], values[-1 - i], color=mark.colour, alpha=0.18, lw=0)
        ax.plot(steps, values[middle], color=mark.colour, lw=1.8)
        ax.axhline(level[0], color=svg.INK, lw=1, ls=(0, (4, 3)))
        ax.annotate(
            level[1], (1, level[0]), xycoords=("axes fraction", "data"), xytext=(-3, 3),
            textcoords="offset points", ha="right", fontsize=10,
        )  # fmt: skip
        ax.set_xlabel(axis[0])
        ax.set_ylabel(axis[1])
        ax.set_ylim(bottom=0)
        ax.tick_params(axis="y", labelcolor=svg.MUTED)
        ax.margins(x=0.01)
        image = svg.to_svg(ax, name, f"{title}. {caption}")
    picked = np.unique(np.linspace(0, len(steps) - 1, min(11, len(steps))).round().astype(int))
    rows = [[f"{steps[i]:,.0f}", *(f"{v[i]:.4f}" for v in values)] for i in picked]
    return Picture(name, title, caption, image, Table([axis[0], *names], rows))
