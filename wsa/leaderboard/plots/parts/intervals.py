"""Dots and 95 % intervals, one row under the other: values, and differences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from wsa.leaderboard.formats import decimals
from wsa.leaderboard.measures import difference_axis, difference_words, gain, places
from wsa.leaderboard.plots.parts.axes import Frame, ends, frame, ticks
from wsa.leaderboard.plots.parts.canvas import NARROW, Canvas, both, text_width
from wsa.leaderboard.plots.parts.pictures import Mark, Numbers, Picture, shorten
from wsa.leaderboard.results import Difference
from wsa.task import Metric

BESIDE = 250  # pixels that names beside their rows may take; longer ones stand above them
WIDE = 720  # pixels, of the drawing for a wide screen


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
        limits: of the axis; an end beyond them is an arrow with its number.
        zero: whether the rows are differences: a line marks zero.
        digits: decimal places of the numbers.
        dots: what the dots are, at the head of their column.
    """
    limits = limits or _limits(bars, zero)
    beside = max((text_width(_label(bar)) for bar in bars), default=0) <= BESIDE
    drawings = [
        _rows(bars, axis, limits, zero, digits, width, beside and width == WIDE)
        for width in (WIDE, NARROW)
    ]
    rows = [
        [bar.mark.label, bar.note,
         *(decimals(value, digits) for value in (bar.centre, bar.low, bar.high)),
         ", ".join(f"{label}: {value:.{digits}f}" for label, value in bar.dots) or "–"]
        for bar in bars
    ]  # fmt: skip
    columns = ["", "", "mean" if not zero else "difference", "95 % from", "to", dots]
    if zero:
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    image = both(*drawings, f"{title}. {caption}")
    return Picture(name, title, caption, image, Numbers(columns, rows))


def _limits(bars: Sequence[Bar], zero: bool) -> tuple[float, float]:
    """All centres, and of the intervals what does not squeeze them."""
    centres = [bar.centre for bar in bars] + [0.0] * zero
    reach = 0.5 * (max(centres) - min(centres)) if centres else 0.0
    edges = [edge for bar in bars for edge in (bar.low, bar.high) if edge is not None]
    if reach:
        edges = [min(max(e, min(centres) - reach), max(centres) + reach) for e in edges]
    return ends([*centres, *edges, *(value for bar in bars for _, value in bar.dots)], 0.03)


def _rows(
    bars: Sequence[Bar],
    axis: str,
    limits: tuple[float, float],
    zero: bool,
    digits: int,
    width: float,
    beside: bool,
) -> Canvas:
    """The rows, their names beside them or above."""
    limit = int((width - 80) / 6.3)
    names = [[_label(bar)] if beside else _wrapped(_label(bar), limit) for bar in bars]
    row = 25 if beside else 22 + 16 * max(map(len, names), default=1)
    left = max((text_width(_label(bar)) for bar in bars), default=0) + 16 if beside else 12
    area = frame(
        width, 58 + row * len(bars), limits, (len(bars) - 0.5, -0.5), left=left,
        right=64 if beside else 8, top=6, bottom=48,
    )  # fmt: skip
    canvas = area.canvas
    area.across(ticks(*limits, most=8 if width == WIDE else 5), axis)
    middles = [area.y(i) for i in range(len(bars))]
    firsts = [y + 4 if beside else y - row / 2 + 15 for y in middles]  # base lines of names
    x, anchor = (left - 10, "end") if beside else (area.left, "start")
    for lines, first in zip(names, firsts, strict=True):
        for number, words in enumerate(lines):
            canvas.text(x, first + 16 * number, words, anchor=anchor, halo=not beside)
    for bar, first in zip(bars, firsts, strict=True):
        value = decimals(bar.centre, digits)
        canvas.text(width - 2, first, value, "muted", anchor="end", halo=not beside)
    for i, (bar, middle) in enumerate(zip(bars, middles, strict=True)):
        with canvas.group(i):
            _bar(area, bar, middle if beside else middle + row / 2 - 10, limits, digits)
    if zero:
        canvas.line([(area.x(0), area.top), (area.x(0), area.bottom)], "ink")
    return canvas


def _bar(area: Frame, bar: Bar, y: float, limits: tuple[float, float], digits: int) -> None:
    canvas, colour = area.canvas, bar.mark.variable
    low, high = limits
    if bar.low is not None and bar.high is not None and bar.high >= low and bar.low <= high:
        start, end = area.x(max(bar.low, low)), area.x(min(bar.high, high))
        canvas.line([(start, y), (end, y)], colour, 1.4 if bar.hollow else 2.6)
        for beyond, x, way, value in (
            (bar.low < low, start, -1, bar.low), (bar.high > high, end, 1, bar.high),
        ):  # fmt: skip
            if beyond and low <= bar.centre <= high:
                _beyond(canvas, x, y, way, decimals(value, digits), colour)
    if bar.dots:
        for _, value in bar.dots:
            if low <= value <= high:
                canvas.mark("o", area.x(value), y + 7, colour, size=3.4, opacity=0.7)
    if low <= bar.centre <= high:
        canvas.mark(bar.mark.marker, area.x(bar.centre), y, colour, size=8, hollow=bar.hollow)
    else:
        right = bar.centre > high
        x = area.right if right else area.left
        _beyond(canvas, x, y, 1 if right else -1, "", colour)  # its value ends the row


def _beyond(canvas: Canvas, x: float, y: float, way: int, words: str, colour: str) -> None:
    """An arrow at the end of the axis with the value that lies beyond it."""
    canvas.area([(x, y), (x - 7 * way, y - 4), (x - 7 * way, y + 4)], colour)
    anchor = "end" if way > 0 else "start"
    if words:  # on the line, which makes room for them
        width = text_width(words, 11) + 4
        start = x - 8 * way - (width if way > 0 else 0)
        canvas.box(start, y - 6, width, 12, "paper")
        canvas.text(x - 10 * way, y + 4, words, colour, 11, anchor, halo=True)


def _label(bar: Bar) -> str:
    return bar.mark.label + (f", {bar.note}" if bar.note else "")


def _wrapped(words: str, limit: int) -> list[str]:
    """`words` in lines of about `limit` letters: what is subtracted begins the second."""
    own, minus, other = words.partition(" − ")
    if len(words) <= limit or not minus:
        return [shorten(words, limit)]
    return [shorten(own, limit), shorten(f"− {other}", limit)]


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
