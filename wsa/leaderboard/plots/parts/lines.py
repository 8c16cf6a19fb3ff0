"""Lines over training steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wsa.leaderboard.plots.parts import svg
from wsa.leaderboard.plots.parts.pictures import Mark, Numbers, Picture


@dataclass(frozen=True)
class Line:
    """A curve; `group` names the run or method it belongs to."""

    mark: Mark
    x: np.ndarray
    y: np.ndarray
    group: str = ""


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
        ends = [line for line in lines if line.mark.label]
        right = svg.text_width(line.mark.short for line in ends) + 16
        ax = svg.axes(420 + right, height, left=56, right=right)
        ax.grid(axis="y")
        for line in lines:
            x, y = thin(line.x, line.y)
            (drawn,) = ax.plot(x, y, color=line.mark.colour, lw=1.7)
            if line.group:
                drawn.set_gid(f"class:{line.group}")
        _label_ends(ax, ends)
        ax.set_xlabel(axis[0])
        ax.set_ylabel(axis[1])
        ax.tick_params(axis="y", labelcolor=svg.MUTED)
        ax.margins(x=0.01)
        image = svg.to_svg(ax, name, f"{title}. {caption}")
    return Picture(name, title, caption, image, _sampled(lines, axis))


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


def _sampled(lines: Sequence[Line], axis: tuple[str, str]) -> Numbers:
    """About ten steps of every labelled line."""
    lines = [line for line in lines if line.mark.label and len(line.x)]
    if not lines:
        return Numbers([axis[0]], [])
    longest = max(lines, key=lambda line: len(line.x))
    steps = longest.x[np.unique(np.linspace(0, len(longest.x) - 1, 11).round().astype(int))]
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
