"""Dots and 95 % intervals, one row under the other: values, and differences.

The picture is a column of a table: names and numbers are the page's own text, and it is as wide as
the screen lets it be.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from wsa.leaderboard.formats import DASH, decimals, isolated
from wsa.leaderboard.measures import difference_axis, difference_words, gain, places
from wsa.leaderboard.plots.parts.axes import ends, ticks
from wsa.leaderboard.plots.parts.canvas import SHAPES
from wsa.leaderboard.plots.parts.pictures import Mark, Numbers, Picture
from wsa.leaderboard.results import Difference
from wsa.task import Metric

MIDDLE = 10  # pixels: where in a row its interval lies


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
) -> Picture:
    """Dots, mean and 95 % interval of every row, one under the other.

    Args:
        limits: of the axis; an end beyond them is an arrow.
        zero: whether the rows are differences: a line marks zero.
        digits: decimal places of the numbers.
    """
    low, high = limits or _limits(bars, zero)

    def at(value: float) -> str:
        return f"{100 * (value - low) / (high - low):.1f}".removesuffix(".0") + "%"

    marks = ticks(low, high, 6)
    head = "".join(f'<text x="{at(value)}" y="12">{words}</text>' for value, words in marks)
    said = escape(f"Scale from {marks[0][1]} to {marks[-1][1]}: {axis}")
    rows = "".join(_row(bar, at, (low, high), digits) for bar in bars)
    table = (
        f'<table class="bars" style="{_grid(low, high, [value for value, _ in marks], zero)}">'
        f'<thead><tr><td><th scope="col" class="bar"><svg role="img" aria-label="{said}">{head}'
        f'</svg><th scope="col" class="number">{escape(axis)}<th scope="col" class="number">'
        f"95 % interval</thead><tbody>{rows}</tbody></table>"
    )
    return Picture(name, title, caption, Markup(table), _dots(bars, digits))


def _grid(low: float, high: float, marks: Sequence[float], zero: bool) -> str:
    """Where the lines of the grid stand, for the stylesheet, in percent of the column."""

    def share(value: float) -> float:
        return (value - low) / (high - low)

    # a pattern as wide as the step; CSS places it by the room that it leaves
    step = share(marks[1]) - share(marks[0]) if len(marks) > 1 else 2.0
    style = f"--step:{100 * step:.2f}%;--first:{100 * share(marks[0]) / (1 - step):.2f}%"
    return style + (f";--zero:{100 * share(0.0):.2f}%" if zero else "")


def _row(bar: Bar, at: Callable[[float], str], limits: tuple[float, float], digits: int) -> str:
    low, high = limits
    inside = low <= bar.centre <= high
    drawn = ""
    known = bar.low is not None and bar.high is not None
    if known and bar.high >= low and bar.low <= high:
        start, end = at(max(bar.low, low)), at(min(bar.high, high))
        drawn += f'<line x1="{start}" x2="{end}" y1="{MIDDLE}" y2="{MIDDLE}"/>'
    if bar.centre < low or (known and inside and bar.low < low):
        drawn += f'<svg><path d="M-7 {MIDDLE}l7-4v8z"/></svg>'
    if bar.centre > high or (known and inside and bar.high > high):
        drawn += f'<svg x="100%"><path d="M7 {MIDDLE}l-7-4v8z"/></svg>'
    for _, value in bar.dots:
        if low <= value <= high:
            drawn += f'<circle cx="{at(value)}" cy="{MIDDLE + 7}" r="1.7"/>'
    if inside:
        shape = SHAPES[bar.mark.marker]
        drawn += f'<svg x="{at(bar.centre)}"><path class="mark" d="{shape}"/></svg>'
    hollow = ' class="hollow"' if bar.hollow else ""
    label = isolated(bar.mark.label + (f", {bar.note}" if bar.note else ""))
    interval = f"{decimals(bar.low, digits)} to {decimals(bar.high, digits)}" if known else DASH
    return (
        f'<tr{hollow}><th scope="row">{label}<td class="bar">'
        f'<svg style="color:var(--{bar.mark.variable})">{drawn}</svg>'
        f'<td class="number">{decimals(bar.centre, digits)}<td class="number">{interval}'
    )


def _dots(bars: Sequence[Bar], digits: int) -> Numbers | None:
    """The values of the dots, a column for each label; None where there are no dots."""
    labels = list(dict.fromkeys(label for bar in bars for label, _ in bar.dots))
    if not labels:
        return None
    rows = []
    for bar in bars:
        values = dict(bar.dots)
        rows.append(
            [bar.mark.label + (f", {bar.note}" if bar.note else ""),
             *(decimals(values.get(label), digits) for label in labels)]
        )  # fmt: skip
    return Numbers(["", *labels], rows)


def _limits(bars: Sequence[Bar], zero: bool) -> tuple[float, float]:
    """All centres, and as much of the intervals as half of them need, or as squeezes nothing."""
    centres = [bar.centre for bar in bars] + [0.0] * zero
    known = [(bar.low, bar.high) for bar in bars if bar.low is not None and bar.high is not None]
    reach = 0.5 * (max(centres) - min(centres)) if centres else 0.0
    if known:
        reach = max(reach, statistics.median((high - low) / 2 for low, high in known))
    edges = [edge for interval in known for edge in interval]
    if reach:
        edges = [min(max(e, min(centres) - reach), max(centres) + reach) for e in edges]
    return ends([*centres, *edges, *(value for bar in bars for _, value in bar.dots)], 0.03)


def difference_bar(found: Difference, label: str, note: str = "") -> Bar:
    """A difference: filled where it is told from zero; pale, thin and hollow where it is not."""
    mark = Mark(label, "ink" if found.clear else "muted")
    return Bar(mark, note, found.points, found.low, found.high, hollow=not found.clear)


def differences(
    name: str, title: str, words: str, bars: list[Bar], metric: Metric, most: int
) -> list[Picture]:
    """The picture of `bars`, at most `most` of them; none where there are no bars."""
    if not bars:
        return []
    if len(bars) > most:  # the closest tell most
        title += f", the {most} closest"
        bars = sorted(bars, key=lambda bar: abs(bar.centre))[:most]
    return [
        intervals(
            name, title,
            f"{words} In {difference_words(metric)}, with the 95 % interval for other seeds and "
            "other sentences. Filled and strong: the interval leaves zero out. Hollow and pale: it "
            "does not, or one seed gives none. Each pair by itself: only the verdicts are "
            "corrected for asking several questions at once.",
            sorted(bars, key=lambda bar: -gain(bar.centre, metric)), difference_axis(metric),
            zero=True, digits=places(metric),
        )
    ]  # fmt: skip
