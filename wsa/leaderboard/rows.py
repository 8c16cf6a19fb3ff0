"""The leaderboard's rows: one for each method and state, from the runs' records and the tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from wsa.leaderboard.pictures import Mark
from wsa.leaderboard.reading import Run, SuiteResults
from wsa.suite import Method, Suite

STATES = {
    "unpruned": "as trained",
    "pruned": "pruned",
    "gate_only": "gates pruned",
}


@dataclass(frozen=True)
class Row:
    """A method in one state, over its seeds. Accuracies in percent."""

    suite: Suite
    name: str
    method: Method
    mark: Mark
    state: str
    headline: bool
    runs: Sequence[Run]
    accuracies: Sequence[float]
    mean: float
    std: float | None
    low: float | None
    high: float | None

    @property
    def n(self) -> int:
        return len(self.runs)

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
    def effective_rank(self) -> float | None:
        ranks = [run.result.rank.effective_mean for run in self.runs if run.result.rank]
        return fmean(ranks) if ranks and self.state == "pruned" else None

    @property
    def trainable(self) -> float:
        return fmean(run.result.parameters.trainable for run in self.runs)

    @property
    def kept(self) -> float:
        """Parameters that this state needs; all that trained, unless pruned."""
        if self.state != "pruned":
            return self.trainable
        return fmean(run.result.parameters.kept for run in self.runs)

    @property
    def seconds(self) -> float:
        return fmean(run.result.cost.train_seconds for run in self.runs)

    @property
    def memory(self) -> float:
        return fmean(run.result.cost.peak_memory_bytes for run in self.runs)

    @property
    def hardware(self) -> list[str]:
        return sorted({run.hardware for run in self.runs})


def rows_of(results: SuiteResults, marks: Mapping[str, Mark]) -> list[Row]:
    """Every method and state that has runs, the best mean first, controls among the others."""
    rows = []
    for name, runs in results.runs.items():
        method = results.suite.methods[name]
        for state in STATES:
            those = [run for run in runs if state in run.result.states]
            if those:
                rows.append(_row(results.suite, name, method, marks[name], state, those))
    return sorted(rows, key=lambda row: -row.mean)


def _row(
    suite: Suite, name: str, method: Method, mark: Mark, state: str, runs: list[Run]
) -> Row:
    values = [100 * run.result.states[state].accuracy for run in runs]
    return Row(
        suite, name, method, mark, state, state == runs[0].headline_state, runs, values,
        mean=fmean(values), std=stdev(values) if len(values) > 1 else None, low=None, high=None,
    )  # fmt: skip
