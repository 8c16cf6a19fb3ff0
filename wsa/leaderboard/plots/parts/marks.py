"""Marks with their intervals and arrows, as charts of values share them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from wsa.leaderboard.formats import decimals
from wsa.leaderboard.plots.parts.axes import Frame
from wsa.leaderboard.plots.parts.canvas import Canvas, Point, text_width
from wsa.leaderboard.plots.parts.labels import Box

STEP = 11.0  # pixels between marks that stand side by side


def apart(spots: Sequence[Point], radius: float = 10.0) -> list[Point]:
    """The spots, those that would cover each other side by side around where they belong.

    >>> apart([(50, 20), (50, 25), (200, 20)])
    [(44.5, 20), (55.5, 25), (200, 20)]
    """
    groups: list[list[int]] = []
    for i in sorted(range(len(spots)), key=lambda i: spots[i]):
        x, y = spots[i]
        for group in groups:
            if any(abs(spots[j][0] - x) < radius and abs(spots[j][1] - y) < 6 * radius
                   for j in group):  # fmt: skip
                group.append(i)
                break
        else:
            groups.append([i])
    found = list(spots)
    for group in groups:
        middle = sum(spots[i][0] for i in group) / len(group)
        for place, i in enumerate(group):
            x = spots[i][0] if len(group) == 1 else middle + STEP * (place - (len(group) - 1) / 2)
            found[i] = (x, spots[i][1])
    return found


def arrow(canvas: Canvas, start: Point, end: Point, colour: str) -> None:
    """A line between two marks with its head shortly before the second."""
    far = math.dist(start, end)
    if far < 20:
        return
    dx, dy = (end[0] - start[0]) / far, (end[1] - start[1]) / far
    tip = (end[0] - 8 * dx, end[1] - 8 * dy)
    back = (tip[0] - 9 * dx, tip[1] - 9 * dy)
    canvas.line([(start[0] + 6 * dx, start[1] + 6 * dy), back], colour, 2)
    canvas.area(
        [tip, (back[0] - 4.5 * dy, back[1] + 4.5 * dx), (back[0] + 4.5 * dy, back[1] - 4.5 * dx)],
        colour,
    )


def whisker(
    area: Frame,
    x: float,
    low: float | None,
    high: float | None,
    colour: str,
    digits: int,
    opacity: float = 1.0,
) -> list[Box]:
    """An upright interval at `x` pixels; an end beyond the picture is an arrow with its value.

    Returns what it covers.
    """
    if low is None or high is None:
        return []
    canvas, taken = area.canvas, []
    under, over = low < area.y.low, high > area.y.high
    lower = area.bottom - 2 if under else area.y(low)
    upper = area.top + 2 if over else area.y(high)
    canvas.line([(x, lower), (x, upper)], colour, 1.4, opacity=opacity)
    for beyond, y, way, value in ((under, lower, -1, low), (over, upper, 1, high)):
        if not beyond:
            canvas.line([(x - 3, y), (x + 3, y)], colour, 1.4, opacity=opacity)
            continue
        canvas.area([(x, y), (x - 4, y + 6 * way), (x + 4, y + 6 * way)], colour)
        words = decimals(value, digits)
        base = y + (16 if way > 0 else -6)
        canvas.text(x + 6, base, words, colour, size=11)
        taken.append(Box(x + 4, base - 11, x + 6 + text_width(words, 11), base + 3))
    return [*taken, Box(x - 2, upper, x + 2, lower)]
