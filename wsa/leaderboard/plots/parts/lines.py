"""Lines over training steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wsa.leaderboard.plots.parts.axes import ends, frame, ticks
from wsa.leaderboard.plots.parts.canvas import NARROW, Canvas, both, text_width
from wsa.leaderboard.plots.parts.pictures import Mark, Numbers, Picture, shorten

LINE = 15.0  # pixels between the names at the ends of lines


@dataclass(frozen=True)
class Line:
    """The curve of a run or a method."""

    mark: Mark
    x: np.ndarray
    y: np.ndarray


def curves(
    name: str,
    title: str,
    caption: str,
    lines: Sequence[Line],
    axis: tuple[str, str],
    height: float = 270,
) -> Picture:
    """Lines over training steps, each labelled at its end."""
    longest = max((text_width(line.mark.short) for line in lines), default=0)
    if longest < 60:
        image = _lines(lines, axis, NARROW, height, longest, 40).svg(title)
    else:
        image = both(
            _lines(lines, axis, 720, height, longest, 40),
            _lines(lines, axis, 360, height + 60, 132, 20), title,
        )  # fmt: skip
    return Picture(name, title, caption, image, _sampled(lines, axis))


def _lines(
    lines: Sequence[Line],
    axis: tuple[str, str],
    width: float,
    height: float,
    beside: float,
    limit: int,
) -> Canvas:
    """The lines, with names of at most `limit` letters in `beside` pixels at their right."""
    most = 40 if width > NARROW else 30
    drawn = [(line, *thin(line.x, line.y, most)) for line in lines]
    drawn = [(line, x, y) for line, x, y in drawn if len(x)]
    right = max((float(x[-1]) for _, x, _ in drawn), default=1.0)
    heights = ends([float(v) for _, _, y in drawn for v in (y.min(), y.max())], 0.04)
    area = frame(width, height, (0, right or 1.0), heights, right=beside + 14)
    area.upwards(ticks(*heights), axis[1])
    area.across(ticks(0, right or 1.0, 5), axis[0], grid=False)
    ordered = sorted(drawn, key=lambda one: -one[2][-1])
    for line, x, y in ordered:
        points = [(area.x(a), area.y(b)) for a, b in zip(x, y, strict=True)]
        area.canvas.line(points, line.mark.variable, 1.7)
    wanted = [area.y(float(y[-1])) for _, _, y in ordered]
    for (line, _, _), place in zip(ordered, spread(wanted, LINE, area.bottom), strict=True):
        words = shorten(line.mark.short, limit)
        area.canvas.text(area.right + 6, place + 4, words, line.mark.variable)
    return area.canvas


def spread(wanted: Sequence[float], gap: float, last: float) -> list[float]:
    """Ascending places near the `wanted` ones (ascending), at least `gap` apart, up to `last`."""
    places: list[float] = []
    for want in wanted:
        places.append(max(want, places[-1] + gap) if places else want)
    limit = last
    for i in reversed(range(len(places))):
        places[i] = min(places[i], limit)
        limit = places[i] - gap
    return places


def thin(x: np.ndarray, y: np.ndarray, limit: int = 40) -> tuple[np.ndarray, np.ndarray]:
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


def _sampled(lines: Sequence[Line], axis: tuple[str, str]) -> Numbers:
    """A few steps of every labelled line."""
    lines = [line for line in lines if line.mark.label and len(line.x)]
    if not lines:
        return Numbers([axis[0]], [])
    longest = max(lines, key=lambda line: len(line.x))
    steps = longest.x[np.unique(np.linspace(0, len(longest.x) - 1, 7).round().astype(int))]
    rows = []
    for step in steps:
        row: list[object] = [f"{step:,.0f}"]
        for line in lines:
            value = line.y[np.abs(line.x - step).argmin()] if step <= line.x[-1] else np.nan
            row.append(f"{value:.4f}" if np.isfinite(value) else "–")
        rows.append(row)
    return Numbers([axis[0], *(line.mark.label for line in lines)], rows)


def smooth(values: np.ndarray, share: float = 0.1) -> np.ndarray:
    """A running mean over `share` of the values; windows shrink at the ends."""
    half = max(int(len(values) * share / 2), 0)
    total = np.concatenate([[0.0], np.cumsum(values)])
    index = np.arange(len(values))
    first, last = np.maximum(index - half, 0), np.minimum(index + half + 1, len(values))
    return (total[last] - total[first]) / (last - first)
