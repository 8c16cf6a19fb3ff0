"""The question at a glance: what pruning does to every method's metric and to its parameters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from wsa.leaderboard.entries import Entry
from wsa.leaderboard.formats import count, decimals
from wsa.leaderboard.measures import axis, heading, places
from wsa.leaderboard.plots.parts import labels, png
from wsa.leaderboard.plots.parts.axes import Frame, ends, frame, log_ticks, ticks
from wsa.leaderboard.plots.parts.canvas import Canvas, both, text_width
from wsa.leaderboard.plots.parts.marks import apart, arrow, whisker
from wsa.leaderboard.plots.parts.pictures import Mark, Numbers, Picture, shorten, slug
from wsa.leaderboard.view import SuiteView

SECTION, ORDER = "scores", 0
MOST_LABELS = 12
BEST, BEST_NARROW = 6, 3  # that are named, where there are more; on a narrow screen
FAR = 8  # times the next: a cost that would squeeze all others stands beside the axis
IMAGE, ZOOM = (1200, 630), 1.6  # the size that links are shown with; pixels for one of a page's


@dataclass(frozen=True)
class Arrow:
    """A method: where pruning starts and where it ends; one that does not prune only ends."""

    mark: Mark
    start: Entry | None
    end: Entry

    @property
    def states(self) -> list[Entry]:
        return [self.start, self.end] if self.start else [self.end]


def draw(view: SuiteView) -> list[Picture]:
    return hero(view)


def hero(view: SuiteView) -> list[Picture]:
    """An arrow a method, from as trained to pruned; none where nothing that trains was measured."""
    arrows = _arrows(view)
    if not arrows:
        return []
    title = f"What pruning does to {view.metric.title} and to parameters"
    drawings = [_drawing(view, arrows, *size) for size in ((640, 390), (360, 470))]
    return [
        Picture(
            f"hero-{slug(view.suite.name)}", title, _caption(view, arrows),
            both(*drawings, f"{title}. {_in_words(view, arrows)}"), _numbers(view, arrows),
        )
    ]  # fmt: skip


def hero_image(view: SuiteView) -> bytes | None:
    """The same as a PNG with its title, for links; None where there is nothing to draw."""
    arrows = _arrows(view)
    if not arrows:
        return None
    width, height = (size / ZOOM for size in IMAGE)
    canvas = _drawing(view, arrows, width, height, head=52)
    canvas.text(16, 27, shorten(view.suite.title, 64), size=17, bold=True)
    canvas.text(
        16, 46, f"{heading(view.metric)} against parameters. Arrows: from as trained to pruned. "
        f"Bars: 95 % intervals, {_seeds(arrows)}.", "muted",
    )  # fmt: skip
    return png.png(canvas, ZOOM)


def _arrows(view: SuiteView) -> list[Arrow]:
    """The methods with known parameters, the best first."""
    arrows = []
    for entry in view.entries:
        if entry.headline and entry.kept:
            start = view.entry(entry.name, "unpruned") if entry.method.gated else None
            arrows.append(Arrow(entry.mark, start if start and start.kept else None, entry))
    return arrows


def _drawing(
    view: SuiteView, arrows: Sequence[Arrow], width: float, height: float, head: float = 0
) -> Canvas:
    far, near = _far([entry for one in arrows for entry in one.states])
    lane = (58 if width > 500 else 46) if far else 0
    costs = [entry.kept for entry in near]
    claimed = [claim for claim in view.suite.claims if claim.kind == "value"]
    bands = [claim.expected + side * claim.margin for claim in claimed for side in (-1, 1)]
    values = [entry.mean for one in arrows for entry in one.states]
    reach = 0.3 * ((max(values) - min(values)) or abs(max(values)) * 0.1 or 1.0)
    edges = [
        min(max(edge, min(values) - reach), max(values) + reach)
        for one in arrows
        for entry in one.states
        for edge in (entry.low, entry.high)
        if edge is not None
    ]
    room = math.log10(max(costs) / min(costs)) or 0.3
    side = 10 ** (room * (0.14 if width > 500 else 0.1))
    area = frame(
        width, height, (min(costs) / side, max(costs) * side),
        ends([*values, *edges, *bands], 0.05), top=head + 30, right=12 + lane, warp=math.log10,
    )  # fmt: skip
    canvas = area.canvas
    area.upwards(ticks(area.y.low, area.y.high, 6), axis(view.metric))
    area.across(log_ticks(area.x.low, area.x.high, count, 8 if width > 500 else 5),
                "parameters kept (logarithmic)", grid=False)  # fmt: skip
    taken = _claimed(area, claimed, view)
    if far:
        _beside(area, far, width - 6 - lane / 2)
    spots = _spots(area, arrows, far, width - 6 - lane / 2)
    wanted: list[labels.Label] = []
    rows = 0
    for one in arrows:
        colour = one.mark.variable
        with canvas.group(*range(rows, rows + len(one.states))):
            for entry in one.states:
                x, y = spots[entry.name, entry.state]
                dim = 1.0 if entry.headline else 0.55
                taken += whisker(area, x, entry.low, entry.high, colour, places(view.metric), dim)
                taken.append(labels.around(x, y))
            if one.start:
                line = (spots[one.end.name, one.start.state], spots[one.end.name, one.end.state])
                arrow(canvas, *line, colour)
                taken += labels.along(*line)
            for entry in one.states:
                x, y = spots[entry.name, entry.state]
                canvas.mark(one.mark.marker, x, y, colour, hollow=not entry.headline)
        rows += len(one.states)
        wanted.append(_label(one, *spots[one.end.name, one.end.state], view))
    shown = wanted[: _named(arrows, narrow=width < 500)]
    within = labels.Box(area.left + 3, area.top - 2, width - 3, area.bottom - 3)
    labels.write(canvas, shown, labels.place(shown, taken, within))
    return canvas


def _far(entries: Sequence[Entry]) -> tuple[list[Entry], list[Entry]]:
    """Those whose parameters are many times those of the others; and the others."""
    ordered = sorted(entries, key=lambda entry: entry.kept)
    for i in range(len(ordered) - 1, 1, -1):
        if ordered[i].kept > FAR * ordered[i - 1].kept:
            return ordered[i:], ordered[:i]
    return [], ordered


def _beside(area: Frame, far: Sequence[Entry], x: float) -> None:
    """The end of the axis for what lies far off, behind a break."""
    canvas = area.canvas
    gap, y = area.right + 5, area.bottom
    for shift in (0, 5):
        canvas.line([(gap + shift - 3, y + 5), (gap + shift + 3, y - 5)], "muted")
    canvas.line([(gap + 9, y), (canvas.width - 6, y)], "rule")
    words = " ".join(dict.fromkeys(count(entry.kept) for entry in far))
    canvas.text(x, y + 17, words, "muted", anchor="middle")


def _claimed(area: Frame, claims: Sequence, view: SuiteView) -> list[labels.Box]:
    """A band for each value that was claimed for this very model and data."""
    found = []
    for claim in sorted(claims, key=lambda claim: -claim.expected):
        low, high = area.y(claim.expected - claim.margin), area.y(claim.expected + claim.margin)
        colour = view.mark(claim.method).variable
        area.canvas.box(area.left, high, area.right - area.left, low - high, colour, 0.13)
        middle = (low + high) / 2
        area.canvas.line([(area.left, middle), (area.right, middle)], colour, dash=(2, 3))
        words = f"claimed: {decimals(claim.expected, 1)}"
        area.canvas.text(area.left + 4, middle - 2, words, colour, size=11)
        found.append(
            labels.Box(area.left, middle - 15, area.left + 8 + text_width(words, 11), middle + 4)
        )
    return found


def _spots(
    area: Frame, arrows: Sequence[Arrow], far: Sequence[Entry], beside: float
) -> dict[tuple[str, str], tuple[float, float]]:
    """(method, state) → where its mark is; marks that would cover each other stand side by side."""
    aside = {(entry.name, entry.state) for entry in far}
    keys, places_ = [], []
    for one in arrows:
        for entry in one.states:
            key = entry.name, entry.state
            x = beside if key in aside else area.x(entry.kept)
            keys.append(key)
            places_.append((x, area.y(entry.mean)))
    return dict(zip(keys, apart(places_), strict=True))


def _named(arrows: Sequence[Arrow], narrow: bool = False) -> int:
    """How many of the best have their name beside them: all, where there are not too many."""
    if len(arrows) <= MOST_LABELS:
        return len(arrows)
    return BEST_NARROW if narrow else BEST


def _label(one: Arrow, x: float, y: float, view: SuiteView) -> labels.Label:
    name, rank = labels.named(one.mark.label)
    digits = max(places(view.metric) - 1, 1)
    values = " → ".join(decimals(entry.mean, digits) for entry in one.states)
    unit = "\u00a0%" if view.metric.unit == "%" else ""
    second = ", ".join(filter(None, [values + unit, rank]))
    return labels.Label(x, y, [name, second], one.mark.variable)


def _in_words(view: SuiteView, arrows: Sequence[Arrow]) -> str:
    said = (one.mark.label + ": " + " → ".join(decimals(e.mean, places(view.metric))
            for e in one.states) for one in arrows)  # fmt: skip
    return f"{heading(view.metric)}, {'; '.join(said)}."


def _seeds(arrows: Sequence[Arrow]) -> str:
    n = sorted({entry.n for one in arrows for entry in one.states})
    return f"n = {n[0]} seed{'s' * (n[-1] > 1)}" if len(n) == 1 else f"n = {n[0]} to {n[-1]} seeds"


def _caption(view: SuiteView, arrows: Sequence[Arrow]) -> str:
    words = []
    if any(one.start for one in arrows):
        words.append(
            "Each arrow leads from a method as trained (hollow) to the same pruned (filled). "
            "A method that does not prune is one mark; grey is a control."
        )
    else:
        words.append("One mark a method; grey is a control.")
    if any(entry.low is not None for one in arrows for entry in one.states):
        words.append("Bars are 95 % intervals for other seeds and other sentences,")
    words.append(f"{_seeds(arrows)}. Marks with the same number of parameters stand side by side.")
    if len(arrows) > _named(arrows):
        words.append(f"The best {BEST} are named, on a narrow screen {BEST_NARROW}.")
    drawn = {one.end.name for one in arrows}
    for entry in view.entries:
        if entry.headline and entry.name not in drawn:
            value = decimals(entry.mean, places(view.metric))
            unit = "\u00a0%" if view.metric.unit == "%" else ""
            words.append(f"Not drawn, for it trains nothing: {entry.method.title}, {value}{unit}.")
    if not view.metric.greater_is_better:
        words.append("Less is better.")
    return " ".join(words)


def _numbers(view: SuiteView, arrows: Sequence[Arrow]) -> Numbers:
    digits = places(view.metric)
    rows = [
        [one.mark.label, entry.state_label or "–", f"{entry.kept:,.0f}",
         *(decimals(value, digits) for value in (entry.mean, entry.low, entry.high)), entry.n]
        for one in arrows
        for entry in one.states
    ]  # fmt: skip
    columns = ["method", "state", "parameters kept", axis(view.metric), "95 % from", "to", "n"]
    return Numbers(columns, rows)
