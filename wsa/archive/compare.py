"""Two folders of results of one suite side by side: two machines, or two versions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from wsa.errors import InputError
from wsa.evidence.comparisons import sign_test
from wsa.evidence.findings import ALIKE
from wsa.evidence.measure import Measure, Predictions, Unit
from wsa.evidence.statistics import ALPHA, holm
from wsa.layout import run_below, runs_below
from wsa.records.predictions import logits_of, read_predictions
from wsa.records.record import read_record
from wsa.records.run import Result
from wsa.task import METRICS

Sameness = Literal["same bits", "within noise", "different", "missing", "unreadable"]


@dataclass(frozen=True)
class Row:
    """One method in the two folders.

    Attributes:
        sameness: 'same bits' if every seed's predictions are; 'within noise' if their difference
            is not clear (two-way random effects over seeds and sentences; for one seed an exact
            McNemar test of accuracies, the bootstrap's standard error of any other metric; Holm
            over methods and states); 'missing' if seeds are in one folder only.
        seeds: in both folders.
        difference: the headline metric in `b`, as it is shown, minus that in `a`, in the state that
            differs most.
        p: the smallest over the method's states, after Holm; none for same bits.
        detail: what to know besides.
    """

    method: str
    sameness: Sameness
    seeds: tuple[int, ...] = ()
    difference: float | None = None
    p: float | None = None
    detail: str = ""


@dataclass(frozen=True)
class Comparison:
    """What `compare` found.

    Attributes:
        conditions: how the runs in `b` were made otherwise than those in `a`.
    """

    a: Path
    b: Path
    rows: tuple[Row, ...]
    conditions: tuple[str, ...]

    def status(self, same_bits: bool = False) -> int:
        """0 if every method has the same bits or, unless `same_bits`, is within noise; else 1."""
        good = {"same bits"} if same_bits else {"same bits", "within noise"}
        return 0 if all(row.sameness in good for row in self.rows) else 1

    def table(self) -> str:
        """The rows for people."""
        from tabulate import tabulate

        body = [
            [
                row.method,
                row.sameness,
                len(row.seeds),
                "" if row.difference is None else f"{row.difference:+.3g}",
                "" if row.p is None else f"{row.p:.3f}",
                row.detail,
            ]
            for row in self.rows
        ]
        header = ["method", "b against a", "seeds", "difference", "p", ""]
        table = tabulate(body, header, tablefmt="github", disable_numparse=True)
        made = [f"made otherwise: {condition}" for condition in self.conditions]
        return "\n".join([f"a: {self.a}", f"b: {self.b}", "", table, *made])


@dataclass(frozen=True)
class Side:
    """A method's runs in one folder of results: seed → its record, or why it cannot be read."""

    folder: Path
    method: str
    results: Mapping[int, Result | InputError]

    def predictions(self, seed: int) -> Path:
        return run_below(self.folder, self.method, seed).predictions


def compare_sides(a: Side, b: Side) -> tuple[Row, tuple[str, ...]]:
    """The same method measured twice, over the seeds that both have; and what was done otherwise.

    Its name may be another on each side.
    """
    both = a.results.keys() & b.results.keys()
    sides = [
        Side(side.folder, side.method, {seed: side.results[seed] for seed in sorted(both)})
        for side in (a, b)
    ]
    (row,) = _after_holm([_compare_method(*sides)])
    made = [{("", seed): result for seed, result in side.results.items()} for side in sides]
    return row, _conditions(*made)


def compare(a: Path, b: Path) -> Comparison:
    """Compare two folders of results, such as `results/<suite>` of two machines.

    Raises:
        InputError: a folder holds no runs, or the two hold runs of different suites.
    """
    found = [_results(Path(folder)) for folder in (a, b)]
    suites = [
        {result.suite for result in runs.values() if isinstance(result, Result)} for runs in found
    ]
    if suites[0] and suites[1] and suites[0] != suites[1]:
        raise InputError(
            "holds runs of another suite", file=b, value=sorted(suites[1]),
            remedy=f"compare runs of {', '.join(sorted(suites[0]))}",
        )  # fmt: skip
    methods = dict.fromkeys(method for runs in found for method, _ in runs)
    rows = []
    for method in methods:
        sides = [
            Side(
                Path(folder),
                method,
                {seed: r for (name, seed), r in runs.items() if name == method},
            )
            for folder, runs in zip((a, b), found, strict=True)
        ]
        rows.append(_compare_method(*sides))
    return Comparison(Path(a), Path(b), tuple(_after_holm(rows)), _conditions(*found))


def _results(folder: Path) -> dict[tuple[str, int], Result | InputError]:
    """(method, seed) → its record, or why it cannot be read."""
    found: dict[tuple[str, int], Result | InputError] = {}
    for method, seed, files in runs_below(folder):
        if seed is None or not files.result.exists():
            continue
        try:
            found[method, seed] = read_record(files.result, Result)
        except InputError as error:
            found[method, seed] = error
    if not found:
        raise InputError(
            "holds no runs/<method>/seed-<k>/result.json", file=folder,
            remedy="name the results of one suite: results/<suite>",
        )  # fmt: skip
    return dict(sorted(found.items()))


def _compare_method(a: Side, b: Side) -> tuple[Row, list[float]]:
    """The method's row before Holm, and the p-values of its states."""
    method = a.method
    seeds = [set(side.results) for side in (a, b)]
    both, one = tuple(sorted(seeds[0] & seeds[1])), sorted(seeds[0] ^ seeds[1])
    if not both:
        return Row(method, "missing", detail=f"only in {'b' if seeds[1] else 'a'}"), []
    pairs = [(a.results[seed], b.results[seed]) for seed in both]
    for error in (side for pair in pairs for side in pair if isinstance(side, InputError)):
        return Row(method, "unreadable", both, detail=str(error).splitlines()[0]), []
    lacking = f"seeds {', '.join(map(str, one))} in one folder only" if one else ""
    if all(mine.predictions == other.predictions for mine, other in pairs):
        return Row(method, "missing" if one else "same bits", both, detail=lacking), []
    (metric, *others) = {result.metric for pair in pairs for result in pair}
    if others:
        names = ", ".join(sorted([metric, *others]))
        return Row(method, "unreadable", both, detail=f"runs of several metrics: {names}"), []
    if metric not in METRICS:
        return Row(method, "unreadable", both, detail=f"unknown metric: {metric}"), []
    try:
        differences = _differences(both, a, b, metric)
    except InputError as error:
        return Row(method, "unreadable", both, detail=str(error).splitlines()[0]), []
    largest, _ = max(differences, key=lambda item: abs(item[0]))
    row = Row(method, "missing" if one else "within noise", both, largest, detail=lacking)
    return row, [p for _, p in differences]


def _differences(
    seeds: tuple[int, ...], a: Side, b: Side, metric: str
) -> list[tuple[float, float]]:
    """Of each state: the metric in b minus that in a, as it is shown, and the p-value."""
    tables = [[read_predictions(side.predictions(seed)) for seed in seeds] for side in (a, b)]
    first = tables[0][0]
    keys = ["state", "sentence_id", "label"]
    for side, group in zip((a, b), tables, strict=True):
        for seed, table in zip(seeds, group, strict=True):
            if not table[keys].equals(first[keys]):
                raise InputError("holds other sentences", file=side.predictions(seed))
    logits = np.stack([[logits_of(table) for table in group] for group in tables])
    classes = logits.shape[-1] if logits.shape[-1] > 1 else 0
    predicted = logits.argmax(-1) if classes else logits[..., 0]
    found = []
    for state in first["state"].unique():
        rows = (first["state"] == state).to_numpy()
        by_run = {
            (folder, state): dict(zip(seeds, of_folder[:, rows], strict=True))
            for folder, of_folder in zip("ab", predicted, strict=True)
        }
        predictions = Predictions(first["label"].to_numpy()[rows], by_run)
        measure = Measure(METRICS[metric], predictions, classes)
        sides = (("b", state), ("a", state))
        found.append((measure.mean_difference(*sides, seeds), _p_value(measure, *sides, seeds)))
    return found


def _p_value(measure: Measure, b: Unit, a: Unit, seeds: tuple[int, ...]) -> float:
    """That both are equally good."""
    if len(seeds) > 1:
        return float(measure.difference(b, a, seeds).once().p_value())
    if measure.metric.name == "accuracy":
        in_b, in_a = (
            measure.predictions.table(unit, seeds) == measure.predictions.labels for unit in (b, a)
        )
        return float(sign_test((in_b & ~in_a).sum(1), (in_a & ~in_b).sum(1))[0])
    from scipy import stats

    draws = measure.draws(b, seeds) - measure.draws(a, seeds)
    size = abs(measure.mean_difference(b, a, seeds)) / measure.metric.scale
    return float(2 * stats.norm.sf(size / draws.std())) if draws.any() else 1.0


def _after_holm(rows: list[tuple[Row, list[float]]]) -> list[Row]:
    """Rows whose difference stays clear among all of them become 'different'."""
    every = [p for _, ps in rows for p in ps]
    adjusted = iter(holm(np.array(every))) if every else iter(())
    done = []
    for row, ps in rows:
        if ps:
            smallest = min(float(next(adjusted)) for _ in ps)
            sameness = "different" if smallest <= ALPHA else row.sameness
            row = Row(row.method, sameness, row.seeds, row.difference, smallest, row.detail)
        done.append(row)
    return done


def _conditions(in_a: dict, in_b: dict) -> tuple[str, ...]:
    """Traits of versions, hardware, code, data and model that the two folders do not share."""
    said = []
    for what, _, traits in ALIKE:
        sides: list[dict[str, set[str]]] = []
        for runs in (in_a, in_b):
            side: dict[str, set[str]] = {}
            for result in runs.values():
                if isinstance(result, Result):
                    for trait, value in traits(result).items():
                        side.setdefault(trait, set()).add(value)
            sides.append(side)
        for trait in sides[0]:
            mine, other = sides[0][trait], sides[1].get(trait, set())
            if other and mine != other:
                shown = " / ".join("; ".join(sorted(side)) for side in (mine, other))
                said.append(f"{what.format(trait)}: {shown}")
    return tuple(said)
