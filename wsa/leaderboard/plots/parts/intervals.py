"""Dots and 95 % intervals, one row under the other: values, and differences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wsa.leaderboard.formats import decimals
from wsa.leaderboard.measures import difference_axis, difference_words, gain, places
from wsa.leaderboard.plots.parts import svg
from wsa.leaderboard.plots.parts.pictures import Mark, Numbers, Picture, shorten
from wsa.leaderboard.results import Difference
from wsa.task import Metric


@dataclass(frozen=True)
class Bar:
    """One row of a dot-and-interval picture."""

    mark: Mark
    note: str
    centre: float
    low: float | None
    high: float | None
    dots: Sequence[tuple[str, float]] = ()
    hollow: bool = False


def intervals(
    name: str,
    title: str,
    caption: str,
    bars: Sequence[Bar],
    axis: str,
    limits: tuple[float, float] | None = None,
    zero: bool = False,
    digits: int = 2,
    dots: str = "per seed",
) -> Picture:
    """Dots, mean and 95 % interval of every row, one under the other.

    Args:
        limits: of the axis; a row beyond them is an arrow with its number.
        zero: whether the rows are differences: a line marks zero.
        digits: decimal places in the table of numbers.
        dots: what the dots are, at the head of their column.
    """
    with svg.settings():
        labels = [_label(bar) for bar in reversed(bars)]
        left = svg.text_width(labels) + 14
        ax = svg.axes(left + 400, 50 + 25 * len(bars), left)
        if limits:
            ax.set_xlim(*limits)
        for y, bar in enumerate(reversed(bars)):
            if limits and not limits[0] <= bar.centre <= limits[1]:
                _arrow(ax, bar, y, bar.centre > limits[1])
            else:
                _draw(ax, bar, y)
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
        [bar.mark.label, bar.note,
         *(decimals(value, digits) for value in (bar.centre, bar.low, bar.high)),
         ", ".join(f"{label}: {value:.{digits}f}" for label, value in bar.dots) or "–"]
        for bar in bars
    ]  # fmt: skip
    columns = ["", "", "mean" if not zero else "difference", "95 % from", "to", dots]
    if zero:
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    return Picture(name, title, caption, image, Numbers(columns, rows))


def _arrow(ax, bar: Bar, y: int, right: bool) -> None:
    """The number of a row that lies beyond the axis, at the end where it lies."""
    place = {"xy": (1 if right else 0, y), "xytext": (-2 if right else 2, 0)}
    ax.annotate(
        f"{bar.centre:.1f} ▸" if right else f"◂ {bar.centre:.1f}",
        xycoords=("axes fraction", "data"), textcoords="offset points", va="center",
        ha="right" if right else "left", color=bar.mark.colour, **place,
    )  # fmt: skip


def _draw(ax, bar: Bar, y: int) -> None:
    colour = bar.mark.colour
    if bar.low is not None and bar.high is not None:
        ax.plot([bar.low, bar.high], [y, y], color=colour, lw=2.2, solid_capstyle="butt")
    if bar.dots:
        values = [value for _, value in bar.dots]
        ax.plot(
            values, np.full(len(values), y - 0.27), "o", ms=3.4, color=colour, mew=0, alpha=0.65
        )
    ax.plot(
        bar.centre, y, bar.mark.marker, ms=7, color=colour, mew=1.5,
        mfc=svg.PAPER if bar.hollow else colour,
    )  # fmt: skip


def _label(bar: Bar) -> str:
    return shorten(bar.mark.label, 34) + (f", {bar.note}" if bar.note else "")


def difference_bar(found: Difference, metric: Metric, label: str, note: str = "") -> Bar:
    """A difference in the colour of what it means: better, worse, or not told from none."""
    better = gain(found.points, metric) > 0
    variable = "ink" if not found.clear else "supported" if better else "contradicted"
    mark = Mark(label, variable)
    return Bar(mark, note, found.points, found.low, found.high, hollow=not found.clear)


def differences(name: str, title: str, bars: list[Bar], metric: Metric, most: int) -> list[Picture]:
    """The picture of `bars`, at most `most` of them; none where there are no bars."""
    if not bars:
        return []
    if len(bars) > most:  # the closest tell most
        title += f", the {most} closest"
        bars = sorted(bars, key=lambda bar: abs(bar.centre))[:most]
    less = "" if metric.greater_is_better else "Less is better: left of zero is ahead. "
    return [
        intervals(
            name, title,
            f"In {difference_words(metric)}, with the 95 % interval for other seeds and other "
            f"sentences. {less}"
            "Hollow: the interval holds zero, or one seed gives none. Each pair by itself: only "
            "the verdicts are corrected for asking several questions at once.",
            sorted(bars, key=lambda bar: -gain(bar.centre, metric)), difference_axis(metric),
            zero=True, digits=places(metric),
        )
    ]  # fmt: skip
