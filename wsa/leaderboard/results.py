"""What the records say about a suite, read once for all its pages."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from wsa.errors import InputError
from wsa.layout import Layout, RunFiles, run_below
from wsa.leaderboard.agreement import Agreement, Closeness, agreement, closeness
from wsa.leaderboard.measures import shown
from wsa.leaderboard.said import said
from wsa.records.evidence import (
    Claims,
    Finding,
    Findings,
    Inference,
    MethodRow,
    PairComparison,
    Tables,
    Thresholds,
)
from wsa.records.literature import Judged
from wsa.records.predictions import logits_of
from wsa.records.record import Record, read_record
from wsa.records.run import Result
from wsa.records.tuning import MethodTuning, read_tuning
from wsa.suite.schema import Suite
from wsa.task import Metric

if TYPE_CHECKING:
    import pandas as pd

MethodState = tuple[str, str]
BETWEEN = " ⏐ "  # the two texts of a pair


@dataclass(frozen=True)
class RunView:
    """One run with its files."""

    files: RunFiles
    result: Result

    @property
    def seed(self) -> int:
        return self.result.seed

    @property
    def method(self) -> str:
        return self.result.method

    @property
    def path(self) -> str:
        """The record, relative to the suite's folder of results, as the evidence names it."""
        return run_below(Path(), self.method, self.seed).result.as_posix()

    @cached_property
    def curve(self) -> pd.DataFrame | None:
        return _parquet(self.files.curve)

    @cached_property
    def gates(self) -> pd.DataFrame | None:
        return _parquet(self.files.gates)

    @property
    def headline_state(self) -> str:
        """The state that the run's headline is quoted for."""
        return "pruned" if "pruned" in self.result.states else "unpruned"

    def value(self, metric: Metric, state: str = "") -> float | None:
        """The run's `metric` in `state`, else in its headline state, as it is shown."""
        found = self.result.states.get(state or self.headline_state)
        value = found.metrics.get(metric.name) if found else None
        return None if value is None else shown(value, metric)

    @cached_property
    def predictions(self) -> pd.DataFrame | None:
        """Per sentence, in the headline state: sentence_id, label, predicted.

        Of classes also `confidence`, the probability of what is said, and `right`.
        """
        table = _parquet(self.files.predictions)
        if table is None:
            return None
        return _predicted(table[table["state"] == self.headline_state].reset_index(drop=True))


def _predicted(table: pd.DataFrame) -> pd.DataFrame:
    import numpy as np

    logits, known = logits_of(table).astype(float), table[["sentence_id", "label"]]
    if logits.shape[1] == 1:
        return known.assign(predicted=logits[:, 0])
    predicted = logits.argmax(1)
    shares = np.exp(logits - logits.max(1, keepdims=True))
    return known.assign(
        predicted=predicted,
        confidence=1 / shares.sum(1),
        right=predicted == table["label"].to_numpy(),
    )


def _parquet(path: Path) -> pd.DataFrame | None:
    """The table in `path`; None where there is none or it cannot be read."""
    import pyarrow
    import pyarrow.parquet

    try:
        return pyarrow.parquet.read_table(path, use_threads=False).to_pandas(use_threads=False)
    except (OSError, pyarrow.ArrowException):
        return None


@dataclass(frozen=True)
class Difference:
    """Headline metric of one method minus that of another, as shown, with its 95 % interval.

    The interval is for other seeds and other sentences; one seed gives none.
    """

    points: float
    low: float | None
    high: float | None

    @classmethod
    def of(cls, pair: PairComparison, turned: bool = False) -> Difference:
        """a − b, or `turned` b − a."""
        sign = -1 if turned else 1
        ends = (pair.interval.low, pair.interval.high) if pair.interval else (None, None)
        low, high = (None if end is None else sign * end for end in ends[::sign])
        return cls(sign * pair.difference, low, high)

    @property
    def clear(self) -> bool:
        """Whether there is an interval, and zero is outside it."""
        return self.low is not None and not self.low <= 0 <= self.high


@dataclass
class SuiteResults:
    """A suite with all that was measured on it; empty where nothing was."""

    suite: Suite
    layout: Layout
    runs: dict[str, list[RunView]] = field(default_factory=dict)
    claims: Claims | None = None
    findings: Sequence[Finding] = ()
    costs: dict[str, MethodRow] = field(default_factory=dict)
    comparisons: Sequence[PairComparison] = ()
    inference: Inference | None = None
    thresholds: Thresholds | None = None
    literature: Judged | None = None
    tunings: dict[str, MethodTuning] = field(default_factory=dict)

    @property
    def measured(self) -> bool:
        return self.claims is not None and any(self.runs.values())

    @property
    def all_runs(self) -> list[RunView]:
        return [run for runs in self.runs.values() for run in runs]

    @property
    def claims_apply(self) -> bool:
        """Whether the claimed values were made for this suite's model and data."""
        return any(claim.kind == "value" for claim in self.suite.claims)

    @property
    def asks_hypothesis(self) -> bool:
        """Whether claims of the hypothesis are judged here, and not only the project's own."""
        return any(claim.source.startswith("the hypothesis") for claim in self.suite.claims)

    def difference(self, own: MethodState, other: MethodState) -> Difference | None:
        """One (method, state) minus another, where they have seeds in common."""
        return self.differences.get(own, {}).get(other)

    @cached_property
    def differences(self) -> dict[MethodState, dict[MethodState, Difference]]:
        """(method, state) → every other that it has seeds in common with → the difference."""
        found: dict[MethodState, dict[MethodState, Difference]] = {}
        for pair in self.comparisons:
            a, b = (pair.method_a, pair.state_a), (pair.method_b, pair.state_b)
            found.setdefault(a, {})[b] = Difference.of(pair)
            found.setdefault(b, {})[a] = Difference.of(pair, turned=True)
        return found

    @cached_property
    def sentences(self) -> dict[str, str]:
        """Sentence id → text; empty where the data were not fetched on this machine."""
        texts: dict[str, str] = {}
        data = self.suite.data
        for split, name in (("validation", data.validation[0]), ("train", "train")):
            table = _parquet(self.layout.split(data.name, name))
            if table is not None:
                texts.update(zip(table["id"].astype(str), _texts(table), strict=True))
            if split == self.suite.protocol.evaluate_on:
                break
        return texts

    @cached_property
    def agreement(self) -> Agreement | None:
        """Which sentences each method gets right; the majority class left out."""
        found = said(self._compared) if self.suite.data.task.classes else None
        return found and agreement(found)

    @cached_property
    def closeness(self) -> Closeness | None:
        """How near the numbers are that each method says; the majority left out."""
        found = None if self.suite.data.task.classes else said(self._compared)
        return found and closeness(found)

    @property
    def _compared(self) -> dict[str, list[RunView]]:
        return {
            name: runs
            for name, runs in self.runs.items()
            if runs and self.suite.methods[name].kind != "majority"
        }


def _texts(table: pd.DataFrame) -> list[str]:
    """The text of each sentence; of a pair, both."""
    first = table["sentence"].astype(str).tolist()
    if "sentence_2" not in table:
        return first
    second = table["sentence_2"].astype(str)
    return [BETWEEN.join(both) for both in zip(first, second, strict=True)]


def read_suite(suite: Suite, layout: Layout) -> SuiteResults:
    """All that was measured of `suite`: its evidence, and the runs that are there and whole.

    A suite whose evidence was not made has no results, whatever runs there are.
    """
    results = SuiteResults(suite, layout, {name: [] for name in suite.methods})
    if not layout.claims_json(suite.name).exists():
        return results
    results.claims = read_record(layout.claims_json(suite.name), Claims)
    if found := _record(layout.findings_json(suite.name), Findings):
        results.findings = found.findings
    if tables := _record(layout.tables_json(suite.name), Tables):
        results.costs = {row.method: row for row in tables.methods}
        results.comparisons = tables.comparisons
    results.inference = _record(layout.inference_json(suite.name), Inference)
    results.thresholds = _record(layout.thresholds_json(suite.name), Thresholds)
    results.literature = _record(layout.literature_json(suite.name), Judged)
    for name in suite.tuned_methods():
        with contextlib.suppress(InputError):  # the findings say so
            results.tunings[name] = read_tuning(suite, name, layout)
    for name in suite.methods:
        for seed in suite.seeds:
            files = layout.run(suite.name, name, seed)
            if not files.result.exists():
                continue
            try:
                results.runs[name].append(RunView(files, read_record(files.result, Result)))
            except InputError:
                continue  # the findings say so
    return results


def _record(path: Path, kind: type[Record]) -> Record | None:
    """The record in `path`; None where there is none."""
    return read_record(path, kind) if path.exists() else None


def place(module: str) -> tuple[str, str]:
    """A module's (layer, projection): `encoder.layer.3.attention.self.query` is ("3", "query").

    >>> place("deberta.encoder.layer.11.attention.self.query_proj")
    ('11', 'query_proj')
    """
    number = re.search(r"\.(\d+)\.", f".{module}.")
    *_, projection = module.split(".")
    if number is None:
        return "–", module
    tail = module[number.end() - 1 :] or projection
    parts = [part for part in tail.split(".") if part not in ("attention", "self")]
    return number[1], ".".join(parts) or projection


def mean_ranks(runs: Iterable[RunView]) -> dict[tuple[str, str], float]:
    """(layer, projection) → effective rank, mean over the runs."""
    collected: dict[tuple[str, str], list[int]] = {}
    for run in runs:
        if run.result.rank is None:
            continue
        for module, rank in run.result.rank.effective_by_layer.items():
            collected.setdefault(place(module), []).append(rank)
    return {key: sum(values) / len(values) for key, values in collected.items()}
