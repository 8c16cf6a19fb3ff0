"""Where values lie in a picture, and the axes that say so."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from wsa.leaderboard.plots.parts.canvas import Canvas, text_width

Ticks = Sequence[tuple[float, str]]  # values and their words


@dataclass(frozen=True)
class Scale:
    """From values `low` … `high` to pixels `start` … `end`; `warp` makes them evenly spaced."""

    low: float
    high: float
    start: float
    end: float
    warp: Callable[[float], float] = float

    def __call__(self, value: float) -> float:
        low, high = self.warp(self.low), self.warp(self.high)
        share = (self.warp(value) - low) / (high - low) if high != low else 0.5
        return self.start + share * (self.end - self.start)


@dataclass(frozen=True)
class Frame:
    """The part of a canvas where values are drawn."""

    canvas: Canvas
    x: Scale
    y: Scale

    @property
    def left(self) -> float:
        return self.x.start

    @property
    def right(self) -> float:
        return self.x.end

    @property
    def bottom(self) -> float:
        return self.y.start

    @property
    def top(self) -> float:
        return self.y.end

    def across(self, ticks: Ticks, title: str = "", grid: bool = True) -> None:
        """The horizontal axis: `ticks` and a title below."""
        canvas, last = self.canvas, -math.inf
        canvas.line([(self.left, self.bottom), (self.right, self.bottom)], "rule")
        if grid:
            for value, _ in ticks:
                canvas.line([(self.x(value), self.top), (self.x(value), self.bottom)], "rule")
        for value, words in ticks:
            x, half = self.x(value), text_width(words) / 2
            if x - half < last + 4 or x + half > self.right + 10:  # no room for its words
                continue
            last = x + half
            canvas.text(x, self.bottom + 17, words, "muted", anchor="middle")
        if title:
            canvas.text((self.left + self.right) / 2, self.bottom + 36, title, "muted",
                        anchor="middle")  # fmt: skip

    def upwards(self, ticks: Ticks, title: str = "") -> None:
        """The vertical axis: `ticks`, and a title above its end."""
        for value, _ in ticks:
            self.canvas.line([(self.left, self.y(value)), (self.right, self.y(value))], "rule")
        for value, words in ticks:
            self.canvas.text(self.left - 7, self.y(value) + 4, words, "muted", anchor="end")
        if title:
            self.canvas.text(4, self.top - 12, title, "muted")


def frame(
    width: float,
    height: float,
    x: tuple[float, float],
    y: tuple[float, float],
    left: float = 46,
    right: float = 12,
    top: float = 30,
    bottom: float = 46,
    warp: Callable[[float], float] = float,
) -> Frame:
    """A new canvas with values from `x[0]` to `x[1]` across and `y[0]` to `y[1]` upwards."""
    return Frame(
        Canvas(width, height),
        Scale(*x, left, width - right, warp),
        Scale(*y, height - bottom, top),
    )


def ends(values: Iterable[float], margin: float = 0.06) -> tuple[float, float]:
    """From the smallest to the largest of `values`, and `margin` of it more on either side."""
    known = [value for value in values if math.isfinite(value)] or [0.0, 1.0]
    low, high = min(known), max(known)
    room = margin * (high - low) or abs(high) * 0.05 or 1.0
    return low - room, high + room


def ticks(low: float, high: float, most: int = 6) -> Ticks:
    """Round values between two others, with as many decimals as they need.

    >>> ticks(66.2, 87.9, 5)
    [(70.0, '70'), (75.0, '75'), (80.0, '80'), (85.0, '85')]
    """
    step = 10.0 ** math.floor(math.log10(high - low))
    steps = [step * factor for factor in (0.1, 0.2, 0.25, 0.5, 1, 2, 2.5, 5, 10)]
    step = next((s for s in steps if (high - low) / s <= most), steps[-1])
    places = next((d for d in range(12) if math.isclose(round(step, d), step, rel_tol=1e-9)), 12)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [
        (i * step, f"{i * step:z.{places}f}".replace("-", "\u2212"))
        for i in range(first, last + 1)
    ]  # fmt: skip


def log_ticks(low: float, high: float, words: Callable[[float], str], most: int = 6) -> Ticks:
    """Round values between two positive ones, evenly spread on a logarithmic scale."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1, 1.5, 2, 3, 4, 5, 7), (1, 2, 3, 5), (1, 2, 5), (1, 3), (1,)):
        found = [factor * 10.0**power for power in powers for factor in factors]
        found = [value for value in found if low <= value <= high]
        if len(found) <= most:
            break
    return [(value, words(value)) for value in found]
