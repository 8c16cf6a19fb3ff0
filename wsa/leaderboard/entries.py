"""The leaderboard's entries: one for each method and state, from the suite's records."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from wsa.leaderboard.measures import gain
from wsa.leaderboard.plots.parts.pictures import Mark
from wsa.leaderboard.results import RunView, SuiteResults
from wsa.records.evidence import Estimate, MethodRow
from wsa.records.predictions import STATE_WORDS as STATES
from wsa.suite.schema import Method, Suite
from wsa.task import METRICS, Metric

NEAR = 10.0  # of 100, from the best: within it a scale shows differences

Further = tuple[str, str]  # metric, split; "" for the split that counts


@dataclass(frozen=True)
class Entry:
    """A method in one state, over its seeds: an estimate, with what it costs.

    Attributes:
        costs: of the method, over its runs; None where no table was made.
        further: the estimates of other metrics, and on other splits.
    """

    suite: Suite
    method: Method
    mark: Mark
    estimate: Estimate
    costs: MethodRow | None
    runs: Sequence[RunView]
    further: Mapping[Further, Estimate]

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
    def metric(self) -> Metric:
        """What the mean is of."""
        return self.suite.data.task.headline

    @property
    def mean(self) -> float:
        """As it is shown, like every value of the metric here."""
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
    def by_seed(self) -> dict[int, float]:
        """Seed → the metric of its run."""
        values = {run.seed: run.value(self.metric, self.state) for run in self.runs}
        return {seed: value for seed, value in values.items() if value is not None}

    @property
    def effective_rank(self) -> float | None:
        return self._cost("effective_rank") if self.state == "pruned" else None

    @property
    def trainable(self) -> float | None:
        return self._cost("parameters_trainable")

    @property
    def kept(self) -> float | None:
        """Parameters that this state needs: all that trained, unless pruned."""
        return self._cost("parameters_kept") if self.state == "pruned" else self.trainable

    @property
    def seconds(self) -> float | None:
        return self._cost("train_seconds")

    @property
    def memory(self) -> float | None:
        """Bytes, of the run that took most."""
        return self._cost("peak_memory_bytes")

    @property
    def hardware(self) -> Sequence[str]:
        return self.costs.hardware if self.costs else ()

    def _cost(self, name: str) -> float | None:
        return getattr(self.costs, name) if self.costs else None


def entries_of(results: SuiteResults, marks: Mapping[str, Mark]) -> list[Entry]:
    """Every method and state that has runs, the best mean first, controls among the others."""
    if results.claims is None:
        return []
    suite, metric = results.suite, results.suite.data.task.headline
    headline: list[Estimate] = []
    further: dict[tuple[str, str], dict[Further, Estimate]] = {}
    for estimate in results.claims.estimates:
        if estimate.metric == metric.name and estimate.split is None:
            headline.append(estimate)
        elif estimate.metric in METRICS:
            those = further.setdefault((estimate.method, estimate.state), {})
            those[estimate.metric, estimate.split or ""] = estimate
    entries = []
    for estimate in headline:
        name = estimate.method
        runs = [run for run in results.runs.get(name, []) if run.path in estimate.runs]
        if name in suite.methods and runs:
            others = further.get((name, estimate.state), {})
            costs = results.costs.get(name)
            method, mark = suite.methods[name], marks[name]
            entries.append(Entry(suite, method, mark, estimate, costs, runs, others))
    return sorted(entries, key=lambda entry: -gain(entry.mean, metric))


@dataclass(frozen=True)
class Scale:
    """The common scale of the intervals drawn in a table's rows, in the metric's unit."""

    low: float
    high: float

    def place(self, value: float) -> float:
        """Where `value` lies, from 0 to 1; what lies off the scale is put at its end."""
        return min(max((value - self.low) / (self.high - self.low), 0.0), 1.0)


def scale_of(entries: Sequence[Entry]) -> Scale | None:
    """A scale that shows the entries near the best; controls far off do not squeeze it."""
    if not entries:
        return None
    metric = entries[0].metric
    best = max((entry.mean for entry in entries), key=lambda mean: gain(mean, metric))
    within = NEAR if metric.scale == 100 else abs(best)
    near = [entry for entry in entries if abs(entry.mean - best) <= within]
    values = [
        v for e in near for v in (e.low, e.high, e.mean, *e.by_seed.values()) if v is not None
    ]
    step = _step(metric, max(values) - min(values))
    low, high = step * math.floor(min(values) / step), step * math.ceil(max(values) / step)
    high = max(high, low + step)
    if metric.scale == 100:
        low, high = max(low, 0.0 if metric.unit == "%" else -100.0), min(high, 100.0)
    elif not metric.greater_is_better:
        low = max(low, 0.0)
    return Scale(min(low, high - step), high)


def _step(metric: Metric, width: float) -> float:
    """What the ends of a scale are multiples of."""
    if metric.scale == 100:
        return 1.0
    return 10.0 ** math.floor(math.log10(width)) if width > 0 else 0.1
