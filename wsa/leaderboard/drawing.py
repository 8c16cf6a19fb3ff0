"""Which pictures a suite gets, from its runs and tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from wsa.leaderboard import svg
from wsa.leaderboard.pictures import (
    Bar,
    Line,
    Mark,
    Picture,
    Point,
    bands,
    curves,
    intervals,
    pareto,
    ranks,
    shorten,
    sweep,
)
from wsa.leaderboard.results import Difference, mean_ranks
from wsa.leaderboard.rows import STATES, scale_of
from wsa.suite.schema import Suite

if TYPE_CHECKING:
    from wsa.leaderboard.rows import Row
    from wsa.leaderboard.view import SuiteView
    from wsa.records.evidence import ThresholdPoint

MARKERS = "oDs^vPX"
# in a picture of differences: of a suite's pairs, and of one method from others
MOST_PAIRS, MOST_OTHERS = 40, 20


@dataclass
class SuitePictures:
    """The pictures of a suite's page, by section."""

    key: list[Mark] = field(default_factory=list)
    first: list[Picture] = field(default_factory=list)
    costs: list[Picture] = field(default_factory=list)
    curves: list[Picture] = field(default_factory=list)
    ranks: list[Picture] = field(default_factory=list)
    gates: list[Picture] = field(default_factory=list)
    thresholds: list[Picture] = field(default_factory=list)
    swept: list[Mark] = field(default_factory=list)  # the methods in `thresholds`
    of_method: dict[str, list[Picture]] = field(
        default_factory=dict
    )  # those on a method's own page


def suite_pictures(view: SuiteView) -> SuitePictures:
    """All pictures of a suite's page; none where nothing was measured."""
    made = SuitePictures()
    if not view.rows:
        return made
    made.key = list({row.name: row.mark for row in view.rows}.values())
    made.first.append(accuracy_per_seed(view.rows))
    if picture := differences(view):
        made.first.append(picture)
    made.costs.extend(costs(view.rows))
    if picture := learning(view):
        made.curves.append(picture)
    for name in view.results.runs:
        made.of_method[name] = []
        for section, draw in ((made.ranks, rank_map), (made.gates, gates)):
            if picture := draw(view, name):
                section.append(picture)
                made.of_method[name].append(picture)
    made.thresholds = thresholds(view)
    if view.results.thresholds:
        names = {point.method for point in view.results.thresholds.points}
        made.swept = [mark for name, mark in view.marks.items() if name in names]
    return made


def rank_map(view: SuiteView, name: str) -> Picture | None:
    """Effective rank by layer and projection, mean over a method's seeds."""
    runs, method = view.results.runs[name], view.suite.methods[name]
    cells = mean_ranks(runs)
    if not cells:
        return None
    return ranks(
        f"rank-{slug(name)}", f"Effective rank of {method.title}",
        f"Directions kept of {method.rank}, by layer and projection; mean of {len(runs)} "
        f"seed{'s' * (len(runs) > 1)}.",
        cells, method.rank,
    )  # fmt: skip


def differences(view: SuiteView) -> Picture | None:
    """Every pair of methods in the states they are quoted for, the majority class left out."""
    quoted = {row.name: row.state for row in view.rows if row.headline}
    pairs = [
        _bar(Difference.of(pair), f"{pair['method_a']} − {pair['method_b']}")
        for pair in view.results.comparisons
        if all(
            quoted.get(pair[f"method_{side}"]) == pair[f"state_{side}"]
            and view.suite.methods[pair[f"method_{side}"]].kind != "majority"
            for side in "ab"
        )
    ]
    return _differences("differences", "Differences between methods", pairs, MOST_PAIRS)


def differences_of(view: SuiteView, name: str) -> Picture | None:
    """A method, in the state it is quoted for, against every other."""
    state = next((row.state for row in view.rows if row.name == name and row.headline), None)
    bars = []
    for (other, other_state), difference in view.results.differences.get((name, state), {}).items():
        method = view.suite.methods.get(other)
        if method is not None and method.kind != "majority":
            note = STATES[other_state] if method.gated else ""
            bars.append(_bar(difference, f"− {shorten(method.title)}", note))
    return _differences(
        f"differences-{slug(name)}", f"{view.suite.methods[name].title} minus the others", bars,
        MOST_OTHERS,
    )  # fmt: skip


def _bar(found: Difference, label: str, note: str = "") -> Bar:
    colour = svg.INK if not found.clear else svg.GOOD if found.points > 0 else svg.BAD
    mark = Mark(label, colour, "ink")
    return Bar(mark, note, found.points, found.low, found.high, hollow=not found.clear)


def _differences(name: str, title: str, bars: list[Bar], most: int) -> Picture | None:
    if not bars:
        return None
    if len(bars) > most:  # the closest tell most
        title += f", the {most} closest"
        bars = sorted(bars, key=lambda bar: abs(bar.centre))[:most]
    return intervals(
        name, title,
        "In points of accuracy, with the 95 % interval for other seeds and other sentences. "
        "Hollow: the interval holds zero, or one seed gives none. Each pair by itself: only the "
        "verdicts are corrected for asking several questions at once.",
        sorted(bars, key=lambda bar: -bar.centre), "difference, points", zero=True,
    )  # fmt: skip


def slug(name: str) -> str:
    """A method's name as part of an identifier that CSS can select."""
    return "".join(letter if letter.isalnum() else "-" for letter in name)


def accuracy_per_seed(rows: list[Row]) -> Picture:
    scale = scale_of(rows)
    bars = [
        Bar(
            row.mark, row.state_label, row.mean, row.low, row.high,
            [(f"seed {run.seed}", value)
             for run, value in zip(row.runs, row.accuracies, strict=True)],
            hollow=not row.headline,
        )
        for row in rows
    ]  # fmt: skip
    return intervals(
        "accuracy-per-seed", "Accuracy per seed",
        "Large marks: means with their 95 % interval; small dots: seeds; hollow: not the state a "
        "method is quoted for. An arrow means left of the axis.",
        bars, "accuracy, %", limits=(scale.low, scale.high),
    )  # fmt: skip


def costs(rows: list[Row]) -> list[Picture]:
    """Accuracy against parameters, training time and memory, each with its Pareto front."""
    trained = [row for row in rows if row.method.kind != "majority" and row.state != "gate_only"]
    quoted = [row for row in trained if row.headline]

    def points(cost: str, of: list[Row], unit: float = 1.0) -> list[Point]:
        return [
            Point(
                row.mark, row.state_label, getattr(row, cost) / unit, row.mean, row.low, row.high,
                hollow=not row.headline, family=_joined(row),
            )
            for row in of
            if getattr(row, cost) is not None
        ]  # fmt: skip

    return [
        pareto(
            "accuracy-parameters", "Parameters", "Those that a state needs beside the pretrained "
            "model: all that trained, or those kept after pruning; logarithmic.",
            points("kept", trained), "parameters", log=True,
        ),
        pareto(
            "accuracy-seconds", "Training time", "Of one run, without loading.",
            points("seconds", quoted), "seconds", log=False,
        ),
        pareto(
            "accuracy-memory", "Peak memory", "Of one run while it trains.",
            points("memory", quoted, unit=1e9), "GB", log=False,
        ),
    ]  # fmt: skip


def _joined(row: Row) -> str:
    """What a line joins in pictures of costs: a family, and of gated methods those gated alike."""
    if row.control or not row.method.family:
        return ""
    return f"{row.method.family} {(row.method.adapter or {}).get('gate', '')}"


def learning(view: SuiteView) -> Picture | None:
    lines = []
    for name, runs in view.results.runs.items():
        if view.suite.methods[name].kind == "majority":
            continue
        those = [run.curve for run in runs if run.curve is not None and len(run.curve)]
        those = [curve for curve in those if np.isfinite(curve["loss"]).any()]
        if not those:
            continue
        shortest = min(map(len, those))
        loss = np.mean([curve["loss"].to_numpy(float)[:shortest] for curve in those], axis=0)
        lines.append(
            Line(view.mark(name), those[0]["step"].to_numpy(float)[:shortest], _smooth(loss))
        )
    if not lines:
        return None
    return curves(
        "learning", "Learning curves",
        "Training loss, mean over seeds, smoothed. The seeds lie on the pages of the methods.",
        lines, ("optimiser step", "training loss"), height=320,
    )  # fmt: skip


def learning_by_seed(view: SuiteView, name: str) -> Picture | None:
    """The learning curve of every seed of a method; a run's page makes its own stand out."""
    if view.suite.methods[name].kind == "majority":
        return None
    lines = []
    for run in view.results.runs[name]:
        if run.curve is None or not np.isfinite(run.curve["loss"]).any():
            continue
        mark = replace(view.mark(name), label=f"seed {run.seed}")
        steps, loss = run.curve["step"].to_numpy(float), run.curve["loss"].to_numpy(float)
        lines.append(Line(mark, steps, _smooth(loss), group=f"seed-{run.seed}"))
    if not lines:
        return None
    return curves(
        f"curve-{slug(name)}", "Learning curves",
        "Training loss of every seed, smoothed.", lines, ("optimiser step", "training loss"),
    )  # fmt: skip


def _smooth(values: np.ndarray, share: float = 0.1) -> np.ndarray:
    """A running mean over `share` of the values; windows shrink at the ends."""
    half = max(int(len(values) * share / 2), 0)
    total = np.concatenate([[0.0], np.cumsum(values)])
    index = np.arange(len(values))
    first, last = np.maximum(index - half, 0), np.minimum(index + half + 1, len(values))
    return (total[last] - total[first]) / (last - first)


QUANTILES = {"5 %": 0.05, "25 %": 0.25, "median": 0.5, "75 %": 0.75, "95 %": 0.95}


def gates(view: SuiteView, name: str) -> Picture | None:
    """How |g| of all directions moved in a method's first run."""
    runs, mark = view.results.runs[name], view.mark(name)
    if not runs or not view.suite.methods[name].gated:
        return None
    run = runs[0]
    table = run.gates
    if table is None or table.empty or run.result.rank is None:
        return None
    sizes = table.assign(size=table["gate"].abs()).groupby("step")["size"]
    levels = sizes.quantile(list(QUANTILES.values())).unstack()
    rank = run.result.rank
    return bands(
        f"gates-{slug(name)}", f"Gates of {mark.label}",
        f"|g| of all directions, seed {run.seed}: the median and the ranges that hold half and "
        f"nine tenths of them. AdamW could move a gate by about Σ lr = "
        f"{rank.sum_of_learning_rates:.3g}; τ = {rank.threshold:g}.",
        mark, levels.index.to_numpy(float),
        {name: levels[q].to_numpy(float) for name, q in QUANTILES.items()},
        (rank.threshold, f"τ = {rank.threshold:g}"), ("optimiser step", "|g|"),
    )  # fmt: skip


def thresholds(view: SuiteView) -> list[Picture]:
    """What other thresholds τ would have left of the first seed: accuracy and effective rank."""
    found = view.results.thresholds
    points: dict[str, list[ThresholdPoint]] = {}
    for point in found.points if found else ():
        if point.method in view.suite.methods:
            points.setdefault(point.method, []).append(point)
    if not points:
        return []
    used = sorted(
        {run.result.rank.threshold for name in points for run in view.results.runs[name]
         if run.result.rank is not None}
    )  # fmt: skip
    caption = (
        f"Seed {found.seed}, the first, alone, on {found.sentences} {found.evaluated_on} "
        "sentences. The suite’s own threshold (dashed) was fixed before; nothing is chosen by this."
    )

    def picture(name: str, title: str, axis: str, value: Callable[..., float]) -> Picture:
        lines = [
            Line(
                view.mark(method), np.array([p.threshold for p in those]),
                np.array([value(p) for p in those]),
            )
            for method, those in points.items()
        ]  # fmt: skip
        return sweep(name, title, caption, lines, ("threshold τ", axis), used)

    return [
        picture("threshold-accuracy", "Accuracy", "accuracy, %", lambda p: 100 * p.accuracy),
        picture(
            "threshold-rank", "Effective rank", "effective rank, mean", lambda p: p.effective_rank
        ),
    ]


def marks(suite: Suite) -> dict[str, Mark]:
    """A colour and a marker for every method: gated ones first, controls grey."""
    methods = suite.methods
    order = sorted(methods, key=lambda name: not methods[name].gated)
    result, used = {}, 0
    for name in order:
        method = methods[name]
        if method.kind in ("majority", "head_only"):
            marker = "x" if method.kind == "majority" else "d"
            result[name] = Mark(method.title, svg.CONTROL, "control", marker)
        else:
            result[name] = Mark(
                method.title, svg.series(used), f"series-{used % svg.SERIES}",
                MARKERS[used % len(MARKERS)],
            )  # fmt: skip
            used += 1
    return result
