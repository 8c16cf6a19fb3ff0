"""The leaderboard's rows: one for each method and state, from the suite's tables."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from wsa.leaderboard.pictures import Mark
from wsa.leaderboard.results import Run, SuiteResults
from wsa.records.evidence import Estimate
from wsa.suite.schema import Method, Suite

STATES = {"unpruned": "as trained", "pruned": "pruned", "gate_only": "gates pruned"}
NEAR = 10.0  # points below the best within which a scale shows differences


@dataclass(frozen=True)
class Row:
    """A method in one state, over its seeds: an estimate, with what it costs.

    `table` is the method's line of `table.csv`.
    """

    suite: Suite
    method: Method
    mark: Mark
    estimate: Estimate
    table: Mapping[str, str]
    runs: Sequence[Run]

    @property
    def name(self) -> str:
        return self.estimate.method

    @property
    def state(self) -> str:
        return self.estimate.state

    @property
    def headline(self) -> bool:
        """Whether the method is quoted for this state."""
        return self.state == ("pruned" if self.method.gated else "unpruned")

    @property
    def state_label(self) -> str:
        """The state in words; empty for a method that has only one."""
        return STATES[self.state] if self.method.gated else ""

    @property
    def family(self) -> str:
        return self.method.family or self.method.kind

    @property
    def control(self) -> bool:
        return self.method.kind in ("majority", "head_only")

    @property
    def n(self) -> int:
        return self.estimate.seeds

    @property
    def mean(self) -> float:
        """Percent, like everything about accuracy here."""
        return self.estimate.mean

    @property
    def std(self) -> float | None:
        return self.estimate.std

    @property
    def low(self) -> float | None:
        return self.estimate.interval.low if self.estimate.interval else None

    @property
    def high(self) -> float | None:
        return self.estimate.interval.high if self.estimate.interval else None

    @property
    def accuracies(self) -> list[float]:
        """Of each run."""
        return [100 * run.result.states[self.state].accuracy for run in self.runs]

    @property
    def effective_rank(self) -> float | None:
        return self._number("effective_rank_mean") if self.state == "pruned" else None

    @property
    def trainable(self) -> float | None:
        return self._number("parameters_trainable")

    @property
    def kept(self) -> float | None:
        """Parameters that this state needs: all that trained, unless pruned."""
        return self._number("parameters_kept") if self.state == "pruned" else self.trainable

    @property
    def seconds(self) -> float | None:
        return self._number("train_seconds")

    @property
    def memory(self) -> float | None:
        """Bytes, of the run that took most."""
        return self._number("peak_memory_bytes")

    @property
    def hardware(self) -> list[str]:
        return [name for name in self.table.get("hardware", "").split("; ") if name]

    def _number(self, column: str) -> float | None:
        text = self.table.get(column, "")
        return float(text) if text else None


def rows_of(results: SuiteResults, marks: Mapping[str, Mark]) -> list[Row]:
    """Every method and state that has runs, the best mean first, controls among the others."""
    if results.claims is None:
        return []
    rows = []
    for estimate in results.claims.estimates:
        name = estimate.method
        runs = [run for run in results.runs.get(name, []) if run.path in estimate.runs]
        if name in results.suite.methods and runs:
            method, table = results.suite.methods[name], results.table.get(name, {})
            rows.append(Row(results.suite, method, marks[name], estimate, table, runs))
    return sorted(rows, key=lambda row: -row.mean)


@dataclass(frozen=True)
class Scale:
    """The common scale of the intervals drawn in a table's rows, in percent."""

    low: float
    high: float

    def place(self, value: float) -> float:
        """Where `value` lies, from 0 to 1; what lies off the scale is put at its end."""
        return min(max((value - self.low) / (self.high - self.low), 0.0), 1.0)


def scale_of(rows: Sequence[Row]) -> Scale | None:
    """A scale that shows the rows near the best; controls far below do not squeeze it."""
    if not rows:
        return None
    best = max(row.mean for row in rows)
    near = [row for row in rows if row.mean >= best - NEAR]
    values = [v for row in near for v in (row.low, row.high, *row.accuracies) if v is not None]
    low, high = math.floor(min(values)), math.ceil(max(values))
    return Scale(max(low, 0), min(max(high, low + 1), 100))
