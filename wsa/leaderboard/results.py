"""What the DAG's files say about a suite, read once for all its pages."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from wsa.errors import InputError
from wsa.layout import Layout, RunFiles
from wsa.records.evidence import Claims, Finding, Findings, Inference, Thresholds
from wsa.records.record import read_record
from wsa.records.run import Result
from wsa.suite.schema import Suite

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


@dataclass(frozen=True)
class Run:
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
        return f"runs/{self.method}/seed-{self.seed}/result.json"

    @cached_property
    def curve(self) -> pd.DataFrame | None:
        return _parquet(self.files.curve)

    @cached_property
    def gates(self) -> pd.DataFrame | None:
        return _parquet(self.files.gates)

    @property
    def headline_state(self) -> str:
        """The state that `accuracy` is quoted for."""
        return "pruned" if "pruned" in self.result.states else "unpruned"

    @cached_property
    def predictions(self) -> pd.DataFrame | None:
        """Per sentence, in the headline state: sentence_id, label, predicted, confidence, right."""
        import numpy as np

        table = _parquet(self.files.predictions)
        if table is None:
            return None
        table = table[table["state"] == self.headline_state].reset_index(drop=True)
        margin = (table["logit_1"] - table["logit_0"]).to_numpy(float)
        predicted = (margin > 0).astype(int)
        return table[["sentence_id", "label"]].assign(
            predicted=predicted,
            confidence=1 / (1 + np.exp(-np.abs(margin))),
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
    """Accuracy of one method minus that of another, in points, with its 95 % interval.

    The interval is for other seeds and other sentences; one seed gives none.
    """

    points: float
    low: float | None
    high: float | None

    @classmethod
    def of(cls, pair: Mapping[str, str], turned: bool = False) -> Difference:
        """A line of `comparisons.csv`: a − b, or `turned` b − a."""
        sign = -1 if turned else 1
        ends = [
            sign * float(pair[f"interval_{end}"]) if pair.get(f"interval_{end}") else None
            for end in ("low", "high")
        ][::sign]
        return cls(sign * float(pair["difference"]), *ends)

    @property
    def clear(self) -> bool:
        """Whether there is an interval, and zero is outside it."""
        return self.low is not None and not self.low <= 0 <= self.high


Unit = tuple[str, str]  # method, state


@dataclass
class SuiteResults:
    """A suite with all that was measured on it; empty where nothing was."""

    suite: Suite
    layout: Layout
    runs: dict[str, list[Run]] = field(default_factory=dict)
    claims: Claims | None = None
    findings: Sequence[Finding] = ()
    table: dict[str, dict[str, str]] = field(default_factory=dict)
    comparisons: list[dict[str, str]] = field(default_factory=list)
    inference: Inference | None = None
    thresholds: Thresholds | None = None

    @property
    def measured(self) -> bool:
        return self.claims is not None and any(self.runs.values())

    @property
    def all_runs(self) -> list[Run]:
        return [run for runs in self.runs.values() for run in runs]

    @property
    def claims_apply(self) -> bool:
        """Whether the claimed accuracies were made for this suite's model and data."""
        return any(claim.kind == "value" for claim in self.suite.claims)

    def difference(self, own: Unit, other: Unit) -> Difference | None:
        """One (method, state) minus another, where they have seeds in common."""
        return self.differences.get(own, {}).get(other)

    @cached_property
    def differences(self) -> dict[Unit, dict[Unit, Difference]]:
        """(method, state) → every other that it has seeds in common with → the difference."""
        found: dict[Unit, dict[Unit, Difference]] = {}
        for pair in self.comparisons:
            a, b = ((pair[f"method_{side}"], pair[f"state_{side}"]) for side in "ab")
            found.setdefault(a, {})[b] = Difference.of(pair)
            found.setdefault(b, {})[a] = Difference.of(pair, turned=True)
        return found

    @cached_property
    def sentences(self) -> dict[str, str]:
        """Sentence id → text; empty where the data were not fetched on this machine."""
        texts: dict[str, str] = {}
        for split in ("validation", "train"):
            table = _parquet(self.layout.data(self.suite.data.name) / f"{split}.parquet")
            if table is not None:
                ids, sentences = table["id"].astype(str), table["sentence"].astype(str)
                texts.update(zip(ids, sentences, strict=True))
            if split == self.suite.protocol.evaluate_on:
                break
        return texts

    @cached_property
    def agreement(self) -> Agreement | None:
        """Which sentences each method gets right, over its seeds; the majority class left out."""
        chosen = {
            name: runs
            for name, runs in self.runs.items()
            if runs and self.suite.methods[name].kind != "majority"
        }
        return agreement(chosen)


@dataclass(frozen=True)
class Agreement:
    """For every sentence the share of a method's seeds that get it right, in the headline state."""

    ids: list[str]
    labels: np.ndarray
    methods: list[str]
    seeds: list[int]
    right: np.ndarray  # (sentences, methods): number of seeds that are right

    def first(self, count: int) -> Agreement:
        """Of the first `count` methods only."""
        return Agreement(
            self.ids, self.labels, self.methods[:count], self.seeds[:count], self.right[:, :count]
        )

    @cached_property
    def mostly(self) -> np.ndarray:
        """(sentences, methods): whether more than half of the seeds are right."""
        import numpy as np

        return self.right * 2 > np.array(self.seeds)[None, :]


def agreement(runs: dict[str, list[Run]]) -> Agreement | None:
    """The `Agreement` of the methods whose predictions are of the same sentences."""
    import numpy as np

    ids: list[str] | None = None
    labels = None
    methods, seeds, columns = [], [], []
    for name, those in runs.items():
        counts, n = None, 0
        for run in those:
            table = run.predictions
            if table is None:
                continue
            if ids is None:
                ids, labels = table["sentence_id"].tolist(), table["label"].to_numpy()
            if table["sentence_id"].tolist() != ids:
                continue
            right = table["right"].to_numpy().astype(int)
            counts, n = right if counts is None else counts + right, n + 1
        if counts is not None:
            methods.append(name)
            seeds.append(n)
            columns.append(counts)
    if ids is None or labels is None or not columns:
        return None
    return Agreement(ids, labels, methods, seeds, np.stack(columns, axis=1))


def read_suite(suite: Suite, layout: Layout) -> SuiteResults:
    """All that was measured of `suite`: its evidence, and the runs that are there and whole.

    A suite whose evidence was not made has no results, whatever runs there are.
    """
    results = SuiteResults(suite, layout, {name: [] for name in suite.methods})
    if not layout.claims_json(suite.name).exists():
        return results
    results.claims = read_record(layout.claims_json(suite.name), Claims)
    if layout.findings_json(suite.name).exists():
        results.findings = read_record(layout.findings_json(suite.name), Findings).findings
    results.table = {row["method"]: row for row in _csv(layout.table_csv(suite.name))}
    results.comparisons = _csv(layout.comparisons_csv(suite.name))
    if layout.inference_json(suite.name).exists():
        results.inference = read_record(layout.inference_json(suite.name), Inference)
    if layout.thresholds_json(suite.name).exists():
        results.thresholds = read_record(layout.thresholds_json(suite.name), Thresholds)
    for name in suite.methods:
        for seed in suite.seeds:
            files = layout.run(suite.name, name, seed)
            if not files.result.exists():
                continue
            try:
                results.runs[name].append(Run(files, read_record(files.result, Result)))
            except InputError:
                continue  # the findings say so
    return results


def _csv(path: Path) -> list[dict[str, str]]:
    """The rows of a table the evidence wrote; none where there is no such file."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


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


def mean_ranks(runs: Iterable[Run]) -> dict[tuple[str, str], float]:
    """(layer, projection) → effective rank, mean over the runs."""
    collected: dict[tuple[str, str], list[int]] = {}
    for run in runs:
        if run.result.rank is None:
            continue
        for module, rank in run.result.rank.effective_by_layer.items():
            collected.setdefault(place(module), []).append(rank)
    return {key: sum(values) / len(values) for key, values in collected.items()}
